//! The sessions of a web service: logging in, being recognised, logging out, and sessions that end by themselves.
//!
//! The one rule for a store in asynchronous code: reads are answered from memory and may stand anywhere; writes wait for
//! the disk, so they go to a thread that may wait ([`Sessions::write`]). `submit` is for what no answer waits for.
//!
//! Run with `cargo run -p codex-examples --example web_sessions`. It starts the service, talks to it, and stops it.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use codex::{Batch, EncryptionKey, ErrorKind, Options, Store};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::{runtime::Runtime, task};

/// What may go wrong in a visitor's thread.
type AnyError = Box<dyn Error + Send + Sync>;

/// How long a session lives. A real service takes hours.
const SESSION_TTL: Duration = Duration::from_secs(3);

/// What every request shares. A clone is the same store.
#[derive(Clone)]
struct Sessions {
    store: Store,
}

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    token: String,
}

impl Sessions {
    /// Runs a write on a thread that may wait for the disk. Writes of many requests at the same time share its syncs.
    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> codex::Result<R> + Send + 'static,
    ) -> Result<R, Failure> {
        let store = self.store.clone();
        // The work ends also if the client goes away meanwhile, so a commit is never left half done.
        task::spawn_blocking(move || work(&store))
            .await
            .map_err(|_| Failure::Internal)?
            .map_err(Failure::from)
    }

    /// The session of a request, if it has one that lives. Reads do not wait, so this may be called anywhere.
    fn of(&self, headers: &HeaderMap) -> Result<(String, Session), Failure> {
        let token =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let key = key_of(token.ok_or(Failure::NotLoggedIn)?);
        let session = self.store.get(&key)?.ok_or(Failure::NotLoggedIn)?;
        Ok((key, session))
    }
}

async fn log_in(State(sessions): State<Sessions>, Json(login): Json<Login>) -> Result<Json<Token>, Failure> {
    let token = random_token()?;
    let key = key_of(&token);
    // The token is given away only once the session is on disk. When its time is over it is absent, and nobody need
    // clean up.
    sessions.write(move |store| store.set_with_ttl(key, &Session { user: login.user }, SESSION_TTL)).await?;
    Ok(Json(Token { token }))
}

async fn who_am_i(State(sessions): State<Sessions>, headers: HeaderMap) -> Result<String, Failure> {
    let (_, session) = sessions.of(&headers)?;
    // Nobody's answer waits for this, so it is only queued. Should the disk fail, the next login will say so. (Where
    // 64 MiB could be queued, this would wait for room, and belongs on a thread that may.)
    let mut batch = Batch::new();
    batch.set(format!("seen:{}", session.user), &true)?;
    drop(sessions.store.submit(batch)?);
    Ok(session.user)
}

async fn log_out(State(sessions): State<Sessions>, headers: HeaderMap) -> Result<StatusCode, Failure> {
    let (key, _) = sessions.of(&headers)?;
    sessions.write(move |store| store.delete(key)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a request has no answer.
#[derive(Debug)]
enum Failure {
    NotLoggedIn,
    /// The disk is full or fails: trying again later may help.
    Unavailable,
    Internal,
}

impl From<codex::Error> for Failure {
    fn from(error: codex::Error) -> Self {
        // For the service's log; no message of codex holds a key or a value.
        eprintln!("{error}");
        match error.kind() {
            ErrorKind::Io => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
        .into_response()
    }
}

fn key_of(token: &str) -> String {
    format!("session:{token}")
}

fn random_token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn main() -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    // Tokens are secrets. A real service takes the key from where it keeps those.
    let options = Options::new().encryption_key(EncryptionKey::generate()?);
    // Opening reads the file, so it comes before the runtime, not into it.
    let store = options.open(folder.path().join("sessions.db"))?;
    let service = Router::new()
        .route("/login", post(log_in))
        .route("/me", get(who_am_i))
        .route("/logout", post(log_out))
        .with_state(Sessions { store: store.clone() });

    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = runtime.spawn(async {
        // Stops for the message, and as well if whoever would send it is gone.
        axum::serve(listener, service).with_graceful_shutdown(async { drop(stopped.await) }).await
    });

    let visited = visit(address);

    // In this order: no new requests, the answers to the old ones, their work on the disk, and then the store.
    drop(stop);
    runtime.block_on(server)??;
    drop(runtime);
    visited?;
    // Closing commits what was only submitted; reads go on from memory.
    store.close()?;
    println!("seen: {}", store.prefix("seen:").count());
    Ok(())
}

/// What visitors do.
fn visit(address: SocketAddr) -> Result<(), AnyError> {
    println!("without a session: {}", request(address, "GET /me", "", "")?.0);
    let ada = log_in_as(address, "ada")?;
    let (status, user) = request(address, "GET /me", &ada, "")?;
    println!("logged in: {status}, {user}");
    println!("logging out: {}", request(address, "POST /logout", &ada, "")?.0);
    println!("afterwards: {}", request(address, "GET /me", &ada, "")?.0);

    let tokens = thread::scope(|scope| {
        let log_in = |number| scope.spawn(move || log_in_as(address, &format!("user {number}")));
        let visitors: Vec<_> = (0..20).map(log_in).collect();
        let tokens = visitors.into_iter().map(|visitor| visitor.join().map_err(|_| "a visitor panicked")?);
        tokens.collect::<Result<Vec<String>, AnyError>>()
    })?;
    println!("{} logged in at the same time", tokens.len());

    let last = log_in_as(address, "grace")?;
    println!("a new session: {}", request(address, "GET /me", &last, "")?.0);
    while request(address, "GET /me", &last, "")?.0 == 200 {
        thread::sleep(SESSION_TTL / 30);
    }
    println!("some time later: {}", request(address, "GET /me", &last, "")?.0);
    Ok(())
}

fn log_in_as(address: SocketAddr, user: &str) -> Result<String, AnyError> {
    let body = serde_json::json!({ "user": user }).to_string();
    let (_, answer) = request(address, "POST /login", "", &body)?;
    Ok(serde_json::from_str::<Token>(&answer)?.token)
}

/// One request over a connection of its own; status and body of the answer.
fn request(address: SocketAddr, line: &str, token: &str, body: &str) -> Result<(u16, String), AnyError> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_mins(1)))?;
    write!(
        connection,
        "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer ends early")?;
    let status = head.split(' ').nth(1).ok_or("the answer has no status")?.parse()?;
    Ok((status, body.to_owned()))
}
