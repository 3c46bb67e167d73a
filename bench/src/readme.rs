//! The README's comparison: the first table of docs/benchmarks.md, without what is owed and its rounds.

const HEAD: &str = "| case | ketch | docker | ratio |\n|---|---|---|---|\n";
/// The columns that the README has.
const COLUMNS: usize = 4;

/// The README with the page's figures in the place of its own, if it has a table of them.
pub(crate) fn with_figures(readme: &str, page: &str) -> Option<String> {
    let (before, rest) = readme.split_once(HEAD)?;
    let (_, after) = rest.split_once("\n\n")?;
    Some(format!("{before}{HEAD}{}\n\n{after}", rows(page).join("\n")))
}

fn rows(page: &str) -> Vec<String> {
    let table = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let shortened = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').take(COLUMNS).collect();
        format!("|{}|", cells.join("|"))
    };
    table.take_while(|line| line.starts_with('|')).map(shortened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_s_figures_are_the_page_s() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
        let (readme, page) = (read("README.md"), read("docs/benchmarks.md"));
        assert!(rows(&page).len() > 4);
        assert!(
            with_figures(&readme, &page) == Some(readme),
            "README.md has other figures than docs/benchmarks.md: run `cargo run -p bench -- --page`"
        );
    }
}
