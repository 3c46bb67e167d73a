//! One pattern, as the regular expression that Docker makes of it, without making one.

use super::Problem;

/// A pattern, cleaned.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) exception: bool,
    tokens: Vec<Token>,
    /// What the pattern begins with before anything special, for a quick no.
    prefix: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Exactly(char),
    /// `?`: not a slash.
    One,
    /// `*`: no slashes.
    Any,
    /// `**` at the end: everything.
    Rest,
    /// `**` before something: nothing, or whatever ends in a slash.
    Directories,
    /// `**` at the very start before something without wildcards: whatever there is.
    Anything,
    /// `[a-z]`: also a slash, if it's in it.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    pub(super) fn new(cleaned: &str) -> Result<Self, Problem> {
        let (exception, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err(Problem::OnlyExclamation),
            Some(rest) => (true, rest),
            None => (false, cleaned),
        };
        let tokens = tokens(text).ok_or_else(|| Problem::Syntax { pattern: cleaned.to_owned() })?;
        let plain =
            tokens.iter().map_while(|token| if let Token::Exactly(c) = token { Some(*c) } else { None });
        Ok(Self { exception, prefix: plain.collect(), tokens })
    }

    pub(super) fn takes(&self, path: &str) -> bool {
        path.starts_with(&self.prefix) && self.run(path).0
    }

    /// Whether a longer path that goes on with a slash could be taken.
    pub(super) fn may_take_below(&self, directory: &str) -> bool {
        self.run(&format!("{directory}/")).1
    }

    /// Follows all ways at once: whether the path is taken, and whether something longer might be.
    fn run(&self, path: &str) -> (bool, bool) {
        let end = self.tokens.len();
        // Where a `Directories` began, only a slash lets it end; `inside` remembers that it has taken something else.
        let mut places = Places::new(end);
        places.add(&self.tokens, 0);
        for c in path.chars() {
            let mut next = Places::new(end);
            for at in (0..end).filter(|at| places.at[*at]) {
                match &self.tokens[at] {
                    Token::Any if c != '/' => next.add(&self.tokens, at),
                    Token::Rest | Token::Anything => next.add(&self.tokens, at),
                    Token::Directories => {}
                    token if token.takes_one(c) => next.add(&self.tokens, at + 1),
                    _ => {}
                }
            }
            for at in (0..end).filter(|at| places.inside[*at]) {
                next.inside[at] = true;
                if c == '/' {
                    next.add(&self.tokens, at + 1);
                }
            }
            places = next;
            if places.is_empty() {
                return (false, false);
            }
        }
        let more = places.inside.contains(&true) || places.at[..end].contains(&true);
        (places.at[end], more)
    }
}

/// How far the pattern may have come.
struct Places {
    at: Vec<bool>,
    /// Within a `Directories`.
    inside: Vec<bool>,
}

impl Places {
    fn new(tokens: usize) -> Self {
        Self { at: vec![false; tokens + 1], inside: vec![false; tokens + 1] }
    }

    fn is_empty(&self) -> bool {
        !self.at.contains(&true) && !self.inside.contains(&true)
    }

    /// Comes to a token, and past it if it may take nothing.
    fn add(&mut self, tokens: &[Token], mut at: usize) {
        while !self.at[at] {
            self.at[at] = true;
            match tokens.get(at) {
                Some(Token::Any | Token::Rest | Token::Anything) => at += 1,
                Some(Token::Directories) => {
                    self.inside[at] = true;
                    at += 1;
                }
                _ => return,
            }
        }
    }
}

impl Token {
    fn takes_one(&self, c: char) -> bool {
        match self {
            Self::Exactly(expected) => c == *expected,
            Self::One => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Any | Self::Rest | Self::Directories | Self::Anything => false,
        }
    }
}

/// Nothing if a bracket or an escape isn't closed.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '*' if chars.get(at) == Some(&'*') => {
                let first = at == 1;
                at += 1;
                at += usize::from(chars.get(at) == Some(&'/'));
                tokens.push(match chars.get(at) {
                    None => Token::Rest,
                    Some(_) if first && is_plain(&chars[at..]) => start(chars[at - 1] == '/'),
                    Some(_) => Token::Directories,
                });
            }
            '*' => tokens.push(Token::Any),
            '?' => tokens.push(Token::One),
            '\\' => {
                tokens.push(Token::Exactly(*chars.get(at)?));
                at += 1;
            }
            '[' => tokens.push(class(&chars, &mut at)?),
            c => tokens.push(Token::Exactly(c)),
        }
    }
    Some(tokens)
}

/// `**/name` is in some directory; `**name` is whatever ends so.
fn start(slash: bool) -> Token {
    if slash { Token::Directories } else { Token::Anything }
}

/// Nothing special follows: Docker then compares ends instead of making an expression.
fn is_plain(chars: &[char]) -> bool {
    !chars.iter().any(|c| matches!(c, '*' | '?' | '[' | ']' | '\\'))
}

/// What stands in brackets, as Go's `filepath.Match` reads it.
fn class(chars: &[char], at: &mut usize) -> Option<Token> {
    let negated = chars.get(*at) == Some(&'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        if chars.get(*at) == Some(&']') && !ranges.is_empty() {
            *at += 1;
            return Some(Token::Class { negated, ranges });
        }
        let low = class_character(chars, at)?;
        let mut high = low;
        if chars.get(*at) == Some(&'-') {
            *at += 1;
            high = class_character(chars, at)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(chars: &[char], at: &mut usize) -> Option<char> {
    let mut c = *chars.get(*at)?;
    *at += 1;
    match c {
        '-' | ']' => return None,
        '\\' => {
            c = *chars.get(*at)?;
            *at += 1;
        }
        _ => {}
    }
    // A class that nothing closes is none.
    (*at < chars.len()).then_some(c)
}
