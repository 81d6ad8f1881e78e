//! A server with scripted replies that handles one connection after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The reply on a connection.
#[derive(Clone)]
pub enum Reply {
    /// Sends these bytes and closes the connection.
    Bytes(String),
    /// Sends nothing and keeps the connection open.
    Silence,
}

/// A received request.
#[derive(Clone)]
pub struct Request {
    /// The head in lower case.
    pub text: String,
    /// The time at which the head was complete.
    pub at: Instant,
}

impl Request {
    /// The requested path.
    pub fn path(&self) -> String {
        self.text.split(' ').nth(1).unwrap().to_owned()
    }
}

/// A server on a port of its own. It stops when it is dropped.
pub struct Server {
    /// The URL of the file.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts a server on a free port. It sends these replies in turn, and then repeats the last one.
    pub async fn start(replies: Vec<Reply>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), replies).await
    }

    /// Starts such a server at an address.
    pub async fn start_at(address: SocketAddr, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/rates", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = requests.clone();
        let serving = actix::spawn(async move {
            let mut held = Vec::new();
            let last = replies.last().unwrap().clone();
            for reply in replies.into_iter().chain(std::iter::repeat(last)) {
                let (mut stream, _) = listener.accept().await.unwrap();
                let text = head(&mut stream).await;
                seen.lock().unwrap().push(Request { text, at: Instant::now() });
                match reply {
                    // The write fails if the client closes the connection early.
                    Reply::Bytes(bytes) => drop(stream.write_all(bytes.as_bytes()).await),
                    Reply::Silence => held.push(stream),
                }
            }
        });
        Self { url, requests, serving }
    }

    /// The requests received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
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

/// An HTTP response with the right `Content-Length`.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}
