//! Module `exec`: a register behind a program, in any store that can compare and swap.
//!
//! The rules of the register stay here; the program only keeps one line of text for each cluster.
//! It is run with one argument more than configured:
//!
//! - `get` prints the line that is kept, or nothing if there is none;
//! - `swap` puts `STEAD_NEW` in place of `STEAD_OLD` (empty: nothing was kept), at once or not at
//!   all.
//!
//! In its environment stand `STEAD_KEY` (the name to keep it under: the cluster's id),
//! `STEAD_OLD` and `STEAD_NEW`, and for people and logs `STEAD_COUNTER` and `STEAD_HOLDER`, what
//! the new line says. It ends with 0 (done), 1 (`swap`: something else was kept, and still is) or
//! anything else (not known). Its promise: `get` and `swap` of all nodes happen one after the other
//! (they are linearizable), and what was swapped is never lost.
//!
//! **Failures.** A run that takes longer than the configured time is killed with everything it
//! started, and counts as no answer; what it did may have been done all the same, as when an answer
//! is lost. A line that can't be read is no answer. A line that is gone is a register that knows
//! nothing: it grants nothing before a majority has told it (`core/quorum/register.rs`).

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use stead_core::id::ClusterId;
use stead_core::quorum::ask::{Answer, Question, Standing};
use stead_core::quorum::register::{Challenge, Register};
use stead_core::state::config::ExecConfig;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What a line begins with: the version of its form.
const FORM: &str = "stead1:";
/// The longest line, and the most that is read of what a program prints.
const LONGEST: u64 = 64 << 10;
/// How often somebody else may have been faster.
const TRIES: usize = 5;

/// No answer. Whether something was changed is not known, and asked again it is answered the same.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be run.
    #[error("{program} can't be run: {cause}")]
    Run {
        /// The program.
        program: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It took too long.
    #[error("{program} {verb} took longer than {} ms and was killed", limit.as_millis())]
    TooLate {
        /// The program.
        program: String,
        /// What it was to do.
        verb: &'static str,
        /// The time that it has.
        limit: Duration,
    },
    /// It ended otherwise than it may.
    #[error("{program} {verb} failed ({status}): {words}")]
    Failed {
        /// The program.
        program: String,
        /// What it was to do.
        verb: &'static str,
        /// How it ended.
        status: String,
        /// What it printed last.
        words: String,
    },
    /// What is kept can't be read.
    #[error("{0} keeps something that is no register of this version; nothing was changed")]
    Unreadable(String),
    /// Others were always faster.
    #[error("others changed the register each time; ask again")]
    Contended,
    /// The system gave no random number.
    #[error("the system gives no random numbers")]
    Random,
}

/// Where the register stands, and how long the program took to tell. Nothing is changed.
///
/// # Errors
/// See [`ExecError`].
pub async fn look(
    exec: &ExecConfig,
    cluster: ClusterId,
) -> Result<(Option<Standing>, Duration), ExecError> {
    let began = Instant::now();
    let line = run(exec, cluster, "get", None).await?.1;
    let (line, took) = (line.trim(), began.elapsed());
    if line.is_empty() {
        return Ok((None, took));
    }
    let register = decode(line).ok_or_else(|| ExecError::Unreadable(program(exec)))?;
    Ok((Some(register.standing()), took))
}

/// Asks the register behind that program.
///
/// # Errors
/// See [`ExecError`].
pub async fn ask(
    exec: &ExecConfig,
    cluster: ClusterId,
    question: &Question,
) -> Result<Answer, ExecError> {
    for _ in 0..TRIES {
        let old = run(exec, cluster, "get", None).await?.1;
        let old = old.trim();
        let mut register = if old.is_empty() {
            Register::new(challenge()?)
        } else {
            decode(old).ok_or_else(|| ExecError::Unreadable(program(exec)))?
        };
        let answer = register.answer(question, challenge()?);
        let new = encode(&register).ok_or_else(|| ExecError::Unreadable(program(exec)))?;
        if new == old {
            return Ok(answer);
        }
        let (swapped, _) = run(exec, cluster, "swap", Some((old, &new, &register))).await?;
        if swapped {
            return Ok(answer);
        }
    }
    Err(ExecError::Contended)
}

fn challenge() -> Result<Challenge, ExecError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| ExecError::Random)?;
    Ok(Challenge(u64::from_le_bytes(bytes)))
}

fn program(exec: &ExecConfig) -> String {
    exec.command.first().cloned().unwrap_or_default()
}

/// Runs it once. Says whether it ended with 0, and what it printed.
async fn run(
    exec: &ExecConfig,
    cluster: ClusterId,
    verb: &'static str,
    swap: Option<(&str, &str, &Register)>,
) -> Result<(bool, String), ExecError> {
    let name = program(exec);
    let mut command = Command::new(&name);
    command.args(exec.command.iter().skip(1)).arg(verb);
    command.env("STEAD_KEY", cluster.to_string());
    if let Some((old, new, register)) = swap {
        command.env("STEAD_OLD", old).env("STEAD_NEW", new);
        command.env("STEAD_COUNTER", register.last().to_string());
        command.env("STEAD_HOLDER", holder(register));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let failed = |cause| ExecError::Run { program: name.clone(), cause };
    let mut child = command.spawn().map_err(failed)?;
    let group = Group(child.id());
    let limit = Duration::from_micros(exec.timeout.as_micros());
    let ended = timeout(limit, outcome(&mut child)).await;
    drop(group);
    let Ok(ended) = ended else {
        return Err(ExecError::TooLate { program: name, verb, limit });
    };
    let (status, printed, complaint) = ended.map_err(failed)?;
    match status.code() {
        Some(0) => Ok((true, printed)),
        Some(1) if verb == "swap" => Ok((false, printed)),
        _ => {
            let words = complaint.lines().last().unwrap_or_default().trim().to_owned();
            Err(ExecError::Failed { program: name, verb, status: status.to_string(), words })
        }
    }
}

/// All that the program started: it is gone when this is.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader.filter(|id| *id > 1) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

async fn outcome(
    child: &mut Child,
) -> Result<(std::process::ExitStatus, String, String), std::io::Error> {
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = async {
        if let Some(out) = out {
            out.take(LONGEST).read_to_end(&mut printed).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let heard = async {
        if let Some(err) = err {
            err.take(LONGEST).read_to_end(&mut complaint).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let (read, heard) = tokio::join!(read, heard);
    read?;
    heard?;
    let status = child.wait().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status, text(printed), text(complaint)))
}

/// Who was granted the newest number, for people: the nodes that were present.
fn holder(register: &Register) -> String {
    let nodes = register.holder().map(|half| half.present.iter().map(ToString::to_string));
    nodes.map(|nodes| nodes.collect::<Vec<_>>().join(",")).unwrap_or_default()
}

/// The line of a register; nothing if it can't be written, which only a bug explains.
fn encode(register: &Register) -> Option<String> {
    let bytes = postcard::to_allocvec(register).ok()?;
    let mut line = String::from(FORM);
    for byte in bytes {
        // Writing into a string has no way to fail.
        let _ = write!(line, "{byte:02x}");
    }
    Some(line)
}

fn decode(line: &str) -> Option<Register> {
    let digits = line.strip_prefix(FORM)?;
    let pair = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let whole = digits.len().is_multiple_of(2) && digits.len() as u64 <= LONGEST;
    let bytes: Option<Vec<u8>> = (0..digits.len() / 2).filter(|_| whole).map(pair).collect();
    let bytes = bytes?;
    let (register, rest) = postcard::take_from_bytes(&bytes).ok()?;
    rest.is_empty().then_some(register)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_comes_back_from_its_line_and_nothing_else_does() {
        let register = Register::new(Challenge(7));
        let line = encode(&register).expect("written");
        assert_eq!(decode(&line), Some(register));
        for wrong in ["", "stead1:", "stead1:0", "stead1:zz", "stead2:00", "x"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert_eq!(decode(&format!("{line}00")), None);
    }
}
