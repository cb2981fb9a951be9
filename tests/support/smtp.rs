//! A server of mail that takes what it is sent, over plain SMTP (RFC 5321), and keeps it.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What came.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// The envelope: who is written to.
    pub to: Vec<String>,
    /// The message as it came, dots taken off.
    pub data: String,
}

/// A running server.
pub struct Smtp {
    /// Its port on 127.0.0.1.
    pub port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Smtp {
    /// Starts one, which answers until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let letters: Arc<Mutex<Vec<Letter>>> = Arc::default();
        let kept = letters.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || drop(talk(stream, &kept)));
            }
        });
        Self { port, letters }
    }

    /// What came so far.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("letters").clone()
    }
}

fn talk(mut stream: TcpStream, letters: &Mutex<Vec<Letter>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut letter = Letter::default();
    stream.write_all(b"220 test ESMTP\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-test\r\n250 8BITMIME",
            "RCPT" => {
                letter.to.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                while let Some(line) = lines.next().transpose()?.filter(|line| line != ".") {
                    letter.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.data.push_str("\r\n");
                }
                letters.lock().expect("letters").push(std::mem::take(&mut letter));
                "250 taken"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            "MAIL" | "RSET" | "NOOP" => "250 ok",
            _ => "502 not here",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}
