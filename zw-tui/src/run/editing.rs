//! While a person's editor has the terminal: nothing is read and nothing painted, all the rest goes on.

use super::Loop;
use crate::input::decoder::Decoder;
use crate::model::message::Msg;
use crate::term::editor::{self, Editing};
use crate::term::guard;
use std::io;
use std::process::ExitStatus;

/// The end of the editor, if one runs.
pub(super) async fn ended(editing: &mut Option<Editing>) -> io::Result<ExitStatus> {
    match editing {
        Some(editing) => editing.wait().await,
        None => std::future::pending().await,
    }
}

impl Loop {
    /// Gives the terminal to the editor; if there is none, says so in the form.
    pub(super) fn begin_editing(&mut self, text: String) -> io::Result<()> {
        if self.editing.is_some() {
            return Ok(());
        }
        self.editor_calls += 1;
        let editor = match editor::command_of(|name| std::env::var_os(name)) {
            Ok(editor) => editor,
            Err(reason) => return self.on_message(Msg::Edited(Err(reason))),
        };
        self.gate.close();
        guard::lend();
        match Editing::start(&self.console.paths.state, text, &editor) {
            Ok(editing) => {
                self.editing = Some(editing);
                // Half a key that was typed before is nothing to whatever comes after the editor.
                self.decoder = Decoder::new(self.console.is_remote);
                Ok(())
            }
            Err(reason) => {
                self.take_terminal_back()?;
                self.on_message(Msg::Edited(Err(reason)))
            }
        }
    }

    /// The editor ended.
    pub(super) fn on_edited(&mut self, status: io::Result<ExitStatus>) -> io::Result<()> {
        let Some(editing) = self.editing.take() else { return Ok(()) };
        self.take_terminal_back()?;
        let result = editing.end(status);
        self.on_message(Msg::Edited(result))
    }

    fn take_terminal_back(&mut self) -> io::Result<()> {
        self.come_back()?;
        self.gate.open();
        Ok(())
    }
}
