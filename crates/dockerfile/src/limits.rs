//! How much of anything a stranger's Dockerfile may have. What real ones have is smaller by far.

/// Bytes of a Dockerfile, as BuildKit limits it.
pub const FILE: usize = 16 << 20;
/// Bytes of one line without its end: Go's scanner, which BuildKit reads with, gives up after that.
pub const LINE: usize = 64 * 1024 - 1;
/// Instructions of a Dockerfile.
pub const INSTRUCTIONS: usize = 20_000;
/// Braces within braces: `${a:-${b:-…}}`.
pub const DEPTH: usize = 64;
/// Bytes that one word may become: `ENV A=$A$A` doubles with every line.
pub const WORD: usize = 1 << 20;
/// Steps that looking for a pattern in a value may take: the length of one times that of the other.
pub const PATTERN: usize = 32 << 20;
/// Lines of an ignore file.
pub const PATTERNS: usize = 20_000;
