//! What both programs do with the database: statements over its port, as any of its clients would.

use std::error::Error;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// One statement to a Redis server, and what it answered: a word, a number, or a text of a known length.
pub async fn statement(port: u16, words: &str) -> Result<String> {
    let mut server = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    server.get_mut().write_all(format!("{words}\r\n").as_bytes()).await?;
    let mut line = String::new();
    server.read_line(&mut line).await?;
    let line = line.trim_end();
    let Some(length) = line.strip_prefix('$') else {
        return Ok(line.get(1..).unwrap_or_default().to_owned());
    };
    let mut text = vec![0; length.parse()?];
    server.read_exact(&mut text).await?;
    Ok(String::from_utf8(text)?)
}

/// Files as a tar.
pub fn tar(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    Ok(archive.into_inner()?)
}
