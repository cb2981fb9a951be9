//! A source that behaves as badly as told: raw bytes over TCP, then close or silence.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// What a connection gets.
pub(super) enum Reply {
    /// These bytes, then the connection is closed.
    Close(String),
    /// These bytes, then nothing ever more.
    Hang(String),
}

/// An answer with a body whose length is announced rightly.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Close(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

/// Answers each connection with the next reply, and remembers what was asked.
pub(super) struct Source {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Source {
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).await.unwrap() == 1 {
                    head.push(byte[0]);
                }
                log.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                match replies.pop_front() {
                    Some(Reply::Close(bytes)) => {
                        // The client may have gone: that is its right.
                        let _ = socket
                            .write_all(bytes.replace("{port}", &port.to_string()).as_bytes())
                            .await;
                        let _ = socket.shutdown().await;
                    }
                    Some(Reply::Hang(bytes)) => {
                        let _ = socket.write_all(bytes.as_bytes()).await;
                        open.push(socket);
                    }
                    None => break,
                }
            }
        });
        Self { port, asked, task }
    }

    pub(super) fn url(&self, end: &str) -> String {
        format!("http://127.0.0.1:{}{end}", self.port)
    }

    /// The heads of the requests, in lower case.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}
