//! Logs: tracing to stderr, for people or as JSON lines; stdout belongs to results.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct LogFlags {
    /// What is logged: `warn`, `info`, `debug`, or by module, such as `info,trainer=debug`; servers
    /// log `info` by default, commands `warn`
    #[arg(long, env = "LIFECAST_LOG", global = true)]
    pub log: Option<String>,
    /// How it is written to stderr
    #[arg(long, env = "LIFECAST_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human, global = true)]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("--log `{filter}` is no filter such as `info,trainer=debug`")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        source: ParseError,
    },
    /// Something else logs already.
    #[error("logging is set up already")]
    Taken,
}

/// Sends logs, and panics as errors, to stderr; `default` where the flags do not say what. To be
/// called once, by a binary.
pub fn start(flags: &LogFlags, default: &str) -> Result<(), LogError> {
    let filter = flags.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match flags.log_format {
        LogFormat::Human => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogError::Taken)?;
    STARTED.get_or_init(|| flags.clone());
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// As [`start`] was told.
static STARTED: OnceLock<LogFlags> = OnceLock::new();

/// Arguments with which another process logs as this one does; none before [`start`].
pub fn arguments() -> Vec<String> {
    STARTED.get().map(LogFlags::arguments).unwrap_or_default()
}

impl LogFlags {
    fn arguments(&self) -> Vec<String> {
        let format = self.log_format.to_possible_value();
        let format = format.map(|format| format!("--log-format={}", format.get_name()));
        self.log.iter().map(|filter| format!("--log={filter}")).chain(format).collect()
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    error!(place, reason = panic.payload_as_str().unwrap_or("no text"), "panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_the_flags_say() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            log: LogFlags,
        }
        for log in [None, Some("info,trainer=debug".to_owned())] {
            for log_format in [LogFormat::Human, LogFormat::Json] {
                let flags = LogFlags { log: log.clone(), log_format };
                let given = std::iter::once("program".to_owned()).chain(flags.arguments());
                let read = <Program as clap::Parser>::try_parse_from(given).expect("arguments");
                assert_eq!(read.log, flags);
            }
        }
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let flags = LogFlags { log: Some("a=b=c".to_owned()), log_format: LogFormat::Human };
        let error = start(&flags, "info").expect_err("no filter");
        assert!(error.to_string().contains("a=b=c"), "{error}");
    }
}
