//! What people see while a stage works: one progress bar a stage on stderr.

use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressStyle};
use lifecycle::Progress;

/// A progress bar for one stage; silent where stderr is no terminal. A clone is another handle.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    bar: ProgressBar,
    part: Arc<Mutex<String>>,
}

impl Bar {
    /// Starts the bar of a stage.
    pub(crate) fn new(stage: &str, is_quiet: bool) -> Self {
        let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style =
            "{prefix:>10} {msg:<24} {wide_bar:.cyan/dim} {pos}/{len} {elapsed} (left {eta})";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        Self { bar, part: Arc::default() }
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn report(&self, part: &str, done: u64, total: u64) {
        if let Ok(mut current) = self.part.lock()
            && *current != part
        {
            part.clone_into(&mut current);
            self.bar.set_message(part.to_owned());
            self.bar.reset_eta();
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}
