//! Answers every request with how many it has answered.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8000")?;
    for (number, stream) in listener.incoming().enumerate() {
        let mut stream = stream?;
        // A client that goes away is no reason to stop.
        let _ = answer(&mut stream, number + 1);
    }
    Ok(())
}

fn answer(stream: &mut std::net::TcpStream, number: usize) -> std::io::Result<()> {
    let head = BufReader::new(stream.try_clone()?).lines();
    for line in head {
        if line?.is_empty() {
            break;
        }
    }
    let page = format!("Answer {number}\n");
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len())
}
