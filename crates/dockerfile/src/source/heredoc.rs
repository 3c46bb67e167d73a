//! Here-documents: `<<NAME`, `<<-NAME`, `3<<"NAME"`.

use crate::error::Problem;
use crate::word::{Lexer, Unset};

/// A document that stands below its instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    pub name: String,
    pub descriptor: u32,
    /// Whether variables in it are the builder's: not if the name was quoted.
    pub expand: bool,
    /// Whether tabs at the lines' starts are none of it: `<<-`.
    pub chomp: bool,
    pub content: String,
}

/// What `word` begins, if it's the beginning of a here-document.
pub fn parse(word: &str) -> Option<Heredoc> {
    read(word).ok().flatten()
}

/// All that begin in an instruction's line, in order.
pub(super) fn in_line(line: &str) -> Result<Vec<Heredoc>, Problem> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    // A line whose quotes don't close has no here-documents: the shell will say what is wrong with it.
    let words = lexer.expand(line, &Unset).map(|expanded| expanded.words).unwrap_or_default();
    words.iter().filter_map(|word| read(word).transpose()).collect()
}

fn read(word: &str) -> Result<Option<Heredoc>, Problem> {
    let Some((descriptor, rest)) = word.split_once("<<") else { return Ok(None) };
    let (chomp, name) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if !descriptor.chars().all(|c| c.is_ascii_digit()) || name.is_empty() || name.contains('<') {
        return Ok(None);
    }
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.expand(name, &Unset)?.words;
    let [plain] = words.as_slice() else { return Ok(None) };
    let raw = Lexer { raw_quotes: true, ..lexer }.expand(name, &Unset)?.text;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Heredoc {
        expand: quotes(plain) == quotes(&raw),
        name: plain.clone(),
        // More than a descriptor can be is no descriptor.
        descriptor: descriptor.parse().unwrap_or_default(),
        chomp,
        content: String::new(),
    }))
}

/// The content without tabs at its lines' starts.
pub fn chomp(content: &str) -> String {
    content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: dockerfile heredoc <<-EOF leading tabs stripped
    // covers: dockerfile heredoc <<"EOF" <<'EOF' quoted word: no expansion at build time
    // covers: dockerfile heredoc N<<EOF file descriptor number
    #[test]
    fn words_that_begin_a_document() {
        for (word, name, descriptor, expand, chomp) in [
            ("<<EOF", "EOF", 0, true, false),
            ("<<-EOF", "EOF", 0, true, true),
            ("<<'EOF'", "EOF", 0, false, false),
            ("<<\"E\"OF", "EOF", 0, false, false),
            ("3<<EOF", "EOF", 3, true, false),
            ("<<a\\'b", "a'b", 0, true, false),
            ("<<$A", "$A", 0, true, false),
        ] {
            let expected =
                Heredoc { name: name.to_owned(), descriptor, expand, chomp, content: String::new() };
            assert_eq!(parse(word), Some(expected), "{word}");
        }
        for word in ["<<", "<<-", "<<<EOF", "a<<EOF", "<EOF", "<<'EOF", "<<'a b' c", "<<\" \""] {
            let found = parse(word).filter(|found| found.name != " ");
            assert_eq!(found, None, "{word}");
        }
        assert_eq!(chomp("\t\ta\n\tb\tc\nd\n"), "a\nb\tc\nd\n");
    }
}
