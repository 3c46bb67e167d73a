//! What a build tells of why its steps ran, as a table at its end.

use std::collections::HashMap;

use buildkit::proto::control::StatusResponse;

/// Before the reason, in the status that tells it.
const MARK: &str = "not cached: ";

/// Steps in the order in which they were told of.
#[derive(Default)]
pub(super) struct Explanation {
    steps: Vec<Step>,
    by_digest: HashMap<String, usize>,
}

struct Step {
    name: String,
    cached: bool,
    began: bool,
    why: Option<String>,
}

impl Explanation {
    pub(super) fn update(&mut self, news: &StatusResponse) {
        for vertex in &news.vertexes {
            let at = *self.by_digest.entry(vertex.digest.clone()).or_insert_with(|| {
                self.steps.push(Step { name: vertex.name.clone(), cached: false, began: false, why: None });
                self.steps.len() - 1
            });
            let step = &mut self.steps[at];
            step.cached |= vertex.cached;
            step.began |= vertex.started.is_some();
        }
        for status in &news.statuses {
            if let Some(why) = status.id.strip_prefix(MARK)
                && let Some(at) = self.by_digest.get(&status.vertex)
            {
                self.steps[*at].why = Some(why.to_owned());
            }
        }
    }

    /// `CACHED` and the name, or why it ran.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let name = diag::printable(&step.name);
            match (&step.why, step.cached) {
                (Some(why), _) => {
                    text.push_str(&format!("RAN     {name}\n        {}\n", diag::printable(why)));
                }
                (None, true) => text.push_str(&format!("CACHED  {name}\n")),
                (None, false) if step.began => {}
                (None, false) => text.push_str(&format!("NOT RUN {name}\n")),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use buildkit::proto::Timestamp;
    use buildkit::proto::control::{Vertex, VertexStatus};

    use super::*;

    #[test]
    fn steps_say_where_they_came_from() {
        let vertex = |name: &str, cached: bool, began: bool| Vertex {
            digest: name.into(),
            name: name.into(),
            cached,
            started: began.then(Timestamp::default),
            ..Vertex::default()
        };
        let mut told = Explanation::default();
        let vertexes = vec![
            vertex("a", false, true),
            vertex("b", true, true),
            vertex("s", false, true),
            vertex("n", false, false),
        ];
        told.update(&StatusResponse { vertexes, ..StatusResponse::default() });
        let why = |id: &str| VertexStatus { vertex: "a".into(), id: id.into(), ..VertexStatus::default() };
        let statuses = vec![why("transferring"), why("not cached: f changed")];
        told.update(&StatusResponse { statuses, ..StatusResponse::default() });
        assert_eq!(told.render(), "RAN     a\n        f changed\nCACHED  b\nNOT RUN n\n");
    }
}
