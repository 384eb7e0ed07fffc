//! A QR code for whatever standard output is.

use std::io::IsTerminal as _;

use whatsapp_operator::pairing::{Style, size, terminal};

use crate::{Outcome, say};

/// Draws the code, or says why it does not fit and what to do.
pub fn draw(code: &str) -> Outcome<()> {
    let stdout = std::io::stdout();
    let (columns, rows) = size(code).map_err(|error| error.to_string())?;
    if !stdout.is_terminal() {
        // A file has no colours and no width.
        say(&terminal(code, Style::Plain).map_err(|error| error.to_string())?);
        return Ok(());
    }
    if let Ok(window) = rustix::termios::tcgetwinsize(&stdout)
        && window.ws_col > 0
        && usize::from(window.ws_col) < columns
    {
        say(&format!(
            "      it needs {columns} × {rows} cells and this terminal has {} columns: enlarge it to see the code",
            window.ws_col
        ));
        return Ok(());
    }
    let style =
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) { Style::Plain } else { Style::Ansi };
    say(&terminal(code, style).map_err(|error| error.to_string())?);
    Ok(())
}
