//! Child processes that never outlive their owner, however it ends.
//!
//! A destructor is not enough: a static is never dropped, and nothing is dropped after SIGKILL or
//! Ctrl-C. So a [`Guard`] starts a small shell outside of our process group that holds one end of a
//! pipe. When the pipe closes, for whatever reason, the shell kills every process group it was told
//! about and removes every directory and control group it was told about.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions};
use tokio::time::{Instant, sleep};

pub use rustix::process::Signal;

/// How often an exit is looked for. Children are not tied to tokio's own child watcher, because
/// one control plane serves tests that each have a runtime of their own.
const POLL: Duration = Duration::from_millis(10);

/// How much of a log is read to show its last lines.
const LOG_TAIL_BYTES: u64 = 64 * 1024;

/// Remembers what it reads from the pipe and cleans all of it up at the end of the pipe.
const GUARD_SCRIPT: &str = r#"
no_cgroup_is_left() {
  for cgroup in $cgroups; do
    # Each hierarchy has its own; the inner ones go first.
    for top in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
      [ ! -d "$top" ] || find "$top" -depth -type d -exec rmdir {} + || return 1
    done
  done
}
trap '' INT TERM HUP
groups=
cgroups=
while IFS= read -r line; do
  value=${line#?}
  case $line in
    +*) groups="$groups $value" ;;
    -*)
      kept=
      for group in $groups; do
        [ "$group" = "$value" ] || kept="$kept $group"
      done
      groups=$kept
      ;;
    c*) cgroups="$cgroups $value" ;;
    d*) set -- "$@" "$value" ;;
    k*)
      for directory do
        shift
        [ "$directory" = "$value" ] || set -- "$@" "$directory"
      done
      ;;
  esac
done
for group in $groups; do
  kill -s KILL -- "-$group"
done
tries=0
# What was just killed may still be on its way out, writing and in its group.
until { [ $# -eq 0 ] || rm -rf -- "$@"; } && no_cgroup_is_left || [ $tries -ge 50 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
"#;

/// Tells the guard about itself before it becomes the real program, so that there is no moment at
/// which the program runs and the guard does not know it.
const LAUNCH_SCRIPT: &str = r#"echo "+$$" >&0 && exec "$@" </dev/null"#;

/// Cleans up processes and directories when this process ends in any way.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<GuardInner>,
}

struct GuardInner {
    shell: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts the guarding shell.
    pub fn new() -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", GUARD_SCRIPT, "guard"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { inner: Arc::new(GuardInner { shell: Mutex::new(shell), pipe: Mutex::new(pipe) }) })
    }

    /// The process id of the guarding shell.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.inner.shell).id()
    }

    /// Prepares a program that is started under this guard. Its output goes to the end of `log`.
    #[must_use]
    pub fn launch(&self, name: &str, program: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Launch {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LAUNCH_SCRIPT, name]).arg(program);
        Launch { name: name.to_owned(), guard: self.clone(), command, log: log.into() }
    }

    /// A new private directory below the system's temporary one.
    pub fn temp_dir(&self, prefix: &str) -> io::Result<TempDir> {
        let path = tempfile::Builder::new().prefix(prefix).tempdir()?.keep();
        let directory = TempDir { path, guard: self.clone() };
        self.tell(b'd', directory.path.as_os_str().as_encoded_bytes())?;
        Ok(directory)
    }

    /// Control groups of this name at the top of the hierarchies, to be removed with all below them.
    pub fn owns_cgroups(&self, name: &str) -> io::Result<()> {
        self.tell(b'c', name.as_bytes())
    }

    fn tell(&self, what: u8, value: &[u8]) -> io::Result<()> {
        let mut line = Vec::with_capacity(value.len() + 2);
        line.push(what);
        line.extend_from_slice(value);
        line.push(b'\n');
        // One write, because starting programs write to the same pipe.
        match lock(&self.inner.pipe).as_mut() {
            Some(pipe) => pipe.write_all(&line),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn pipe(&self) -> io::Result<OwnedFd> {
        match lock(&self.inner.pipe).as_ref() {
            Some(pipe) => pipe.as_fd().try_clone_to_owned(),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("pid", &self.pid()).finish()
    }
}

impl Drop for GuardInner {
    fn drop(&mut self) {
        // The end of the pipe is the order to clean up; waiting for it makes it done on return.
        drop(lock(&self.pipe).take());
        let _ = lock(&self.shell).wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that is removed on drop, or by the guard.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    guard: Guard,
}

impl TempDir {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // When it cannot be removed now, the guard gets its chance later.
        if fs::remove_dir_all(&self.path).is_ok() {
            let _ = self.guard.tell(b'k', self.path.as_os_str().as_encoded_bytes());
        }
    }
}

/// A program about to be started.
#[derive(Debug)]
pub struct Launch {
    name: String,
    guard: Guard,
    command: Command,
    log: PathBuf,
}

impl Launch {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Starts it in a process group of its own. A program that does not exist shows as exit status
    /// 127 and in the log.
    pub fn spawn(mut self) -> io::Result<Managed> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = self
            .command
            .stdin(Stdio::from(self.guard.pipe()?))
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Managed { name: self.name, guard: self.guard, child, pid, log: self.log, status: None })
    }
}

/// A running program. It and everything it started in its process group is killed on drop.
#[derive(Debug)]
pub struct Managed {
    name: String,
    guard: Guard,
    child: Child,
    pid: Pid,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Managed {
    /// The name it was launched with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is also the id of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        read_tail(&self.log, lines).unwrap_or_else(|error| format!("({error})"))
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // Looks without collecting the exit status: until that is collected the kernel gives the
        // id to nobody else, so the group can still be killed safely.
        self.status.is_none()
            && matches!(
                rustix::process::waitid(
                    WaitId::Pid(self.pid),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
                ),
                Ok(None)
            )
    }

    /// Sends a signal to the program alone, as a kubelet does. Without effect once it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.is_alive() {
            rustix::process::kill_process(self.pid, signal)?;
        }
        Ok(())
    }

    /// Waits until it ends by itself. What is left of its process group is killed then.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        while self.is_alive() {
            sleep(POLL).await;
        }
        self.kill()
    }

    /// Asks it to end with SIGTERM and kills it when it has not within `timeout`. The status tells
    /// which of the two it was.
    pub async fn term_then_kill(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + timeout;
        while self.is_alive() && Instant::now() < deadline {
            sleep(POLL).await;
        }
        self.kill()
    }

    /// Kills its process group and collects the exit status.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // Before the status is collected, for the reason given in `is_alive`. An error means that
        // nobody is left in the group.
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        let status = self.child.wait()?;
        self.status = Some(status);
        // From here on the id may belong to somebody else.
        let _ = self.guard.tell(b'-', self.pid().to_string().as_bytes());
        Ok(status)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The last lines of a file.
pub(crate) fn read_tail(path: &Path, lines: usize) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    Ok(last.join("\n"))
}
