//! A server that replies as it is told, one connection after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What comes of a connection.
#[derive(Clone)]
pub enum Answers {
    /// These bytes, and then the end.
    Bytes(String),
    /// Nothing, and no end either.
    Silence,
}

/// A request as it came.
#[derive(Clone)]
pub struct Question {
    /// Its head in small letters.
    pub text: String,
    /// When it was there.
    pub at: Instant,
}

impl Question {
    /// What it asks for.
    pub fn path(&self) -> String {
        self.text.split(' ').nth(1).unwrap().to_owned()
    }
}

/// A server on a port of its own. Dropped, it is gone.
pub struct Server {
    /// Where the file is.
    pub url: String,
    asked: Arc<Mutex<Vec<Question>>>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Answers with these in turn, and then with the last of them for ever.
    pub async fn start(replies: Vec<Answers>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), replies).await
    }

    /// The same at an address.
    pub async fn start_at(address: SocketAddr, replies: Vec<Answers>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/rates", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Question>>>::default();
        let noted = asked.clone();
        let serving = actix::spawn(async move {
            let mut held = Vec::new();
            let last = replies.last().unwrap().clone();
            for answer in replies.into_iter().chain(std::iter::repeat(last)) {
                let (mut stream, _) = listener.accept().await.unwrap();
                let text = head(&mut stream).await;
                noted.lock().unwrap().push(Question { text, at: Instant::now() });
                match answer {
                    // Whoever has enough before the end hangs up.
                    Answers::Bytes(bytes) => drop(stream.write_all(bytes.as_bytes()).await),
                    Answers::Silence => held.push(stream),
                }
            }
        });
        Self { url, asked, serving }
    }

    /// What has been asked so far.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// An answer whose length is right.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}
