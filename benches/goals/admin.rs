//! What an administrator asks for over HTTP, and what somebody does with the mail of their invitation.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};

use crate::{Outcome, http, process::Server};

/// The password of everybody who signs in.
pub(crate) const PASSWORD: &str = "a password for measurements";

/// Whoever holds an administrator's token.
pub(crate) struct Admin {
    address: SocketAddr,
    /// The token.
    pub(crate) token: String,
}

impl Admin {
    /// With a token that is known.
    pub(crate) fn new(server: &Server, token: &str) -> Self {
        Self { address: server.address, token: token.to_owned() }
    }

    /// With the token that the first start on this data directory has printed.
    pub(crate) fn of_first_start(server: &Server, data: &Path) -> Outcome<Self> {
        let ready: Value = serde_json::from_slice(&fs::read(data.join("serve.out"))?)?;
        let token = ready.get("admin_token").and_then(Value::as_str).ok_or("no token was printed")?;
        Ok(Self::new(server, token))
    }

    /// Sends JSON, and gives back what is answered.
    pub(crate) fn ask(&self, request_line: &str, body: &Value) -> Outcome<Value> {
        self.send(request_line, "application/json", &body.to_string())
    }

    /// Sends a body of this type, and gives back what is answered.
    pub(crate) fn send(&self, request_line: &str, kind: &str, body: &str) -> Outcome<Value> {
        document(request_line, http::send(self.address, request_line, &self.head(kind), body))
    }

    /// Sends a file as the body.
    pub(crate) fn send_file(&self, request_line: &str, kind: &str, file: &Path) -> Outcome<Value> {
        document(request_line, http::send_file(self.address, request_line, &self.head(kind), file))
    }

    fn head(&self, kind: &str) -> String {
        format!("{}\r\ncontent-type: {kind}\r\n", http::credential(&self.token))
    }
}

/// A field of an answer.
pub(crate) fn field<'a>(document: &'a Value, name: &str) -> Outcome<&'a str> {
    let found = document.get(name).and_then(Value::as_str);
    found.ok_or_else(|| format!("there is no {name} in {document}").into())
}

fn document(request_line: &str, answer: Option<http::Answer>) -> Outcome<Value> {
    let answer = answer.ok_or_else(|| format!("{request_line}: no answer"))?;
    let text = || String::from_utf8_lossy(&answer.body);
    if answer.status >= 300 {
        return Err(format!("{request_line}: {} {}", answer.status, text()).into());
    }
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Sets the password of whoever has this mail. Gives back what they sign in with; none where the mail has no link.
pub(crate) fn set_password(server: &Server, mail: &Path) -> Outcome<Option<String>> {
    let text = fs::read_to_string(mail)?;
    let email = text.lines().find_map(|line| line.strip_prefix("To: ")).ok_or("the mail is to nobody")?.trim();
    let Some(link) = text.find("/links/pml_").and_then(|at| text.get(at..)) else { return Ok(None) };
    let end = link.find(|char: char| !char.is_ascii_alphanumeric() && !"/_".contains(char)).unwrap_or(link.len());
    let request_line = format!("POST {}", link.get(..end).unwrap_or_default());
    let body = json!({ "password": PASSWORD }).to_string();
    document("POST /links", http::send(server.address, &request_line, "content-type: application/json\r\n", &body))?;
    Ok(Some(json!({ "email": email, "password": PASSWORD }).to_string()))
}

/// Signs somebody in; gives back the session's token.
pub(crate) fn sign_in(address: SocketAddr, credentials: &str) -> Outcome<String> {
    let request_line = "POST /sessions";
    let answer = http::send(address, request_line, "content-type: application/json\r\n", credentials);
    Ok(field(&document(request_line, answer)?, "token")?.to_owned())
}
