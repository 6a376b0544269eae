//! Failures of commands: one line for people, or one JSON document, and a stable exit code.

use std::process::ExitCode;

use super::printable::{printable, printable_json};
use crate::{
    actors::{
        Busy,
        commit::CommandError,
        import::ImportError,
        lineage::JudgeError,
        mailer::{DrainError, ExampleError},
        relay::SweepError,
    },
    app::{BackupError, CopyError, MoveError, RecordsMoveError, StartError},
    aws::AccessError,
    config::ConfigError,
    dataset::{reader::ReadError, sample::SampleError},
    domain::{admin_token::TokenRefusal, data_set::HoldRefusal, persisted::CodecError, user::CommandRefusal},
    mail::ses::SesError,
    private::PrivacyError,
    queue::QueueError,
    replay::{CompareError, ReplayError},
    sealing::{CoveredError, SealingError},
    secrets::SecretsError,
    store::{
        StoreError,
        dynamodb::{records::FillError, secrets::OpenSecretError},
        records::RecordStoreError,
    },
    telemetry::TelemetryError,
    transfer::TransferError,
};

/// The exit codes. They are part of the interface: none ever changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// Differences were found.
    Differences = 1,
    /// Wrong usage or a wrong setting.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The state does not allow it.
    Refused = 4,
    /// Trying again may help.
    Unavailable = 5,
    /// The file cannot be imported.
    BadFile = 6,
    /// What is stored is not what it should be.
    Damaged = 7,
    /// A second signal.
    Interrupted = 130,
}

impl Exit {
    fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Differences => "differences",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::BadFile => "bad_file",
            Self::Damaged => "damaged",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: what was wrong, where, and what to do.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: without_numbers(message.into()) }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, message)
    }

    /// The failure as a document.
    pub(super) fn document(&self) -> serde_json::Value {
        serde_json::json!({ "code": self.exit.code(), "exit_code": self.exit as u8, "message": self.message })
    }

    /// Prints it on standard error.
    pub(super) fn print(&self, json: bool) {
        if json {
            eprintln!("{}", printable_json(&serde_json::json!({ "error": self.document() })));
        } else {
            eprintln!("error: {}", printable(&self.message));
        }
    }
}

/// Without the ` (os error 13)` that stands behind what the system said.
fn without_numbers(message: String) -> String {
    const BEFORE: &str = " (os error ";
    let mut rest = message.as_str();
    let mut kept = String::with_capacity(message.len());
    while let Some((said, after)) = rest.split_once(BEFORE) {
        kept.push_str(said);
        rest = match after.split_once(')') {
            Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => after,
            _ => {
                kept.push_str(BEFORE);
                after
            }
        };
    }
    kept.push_str(rest);
    kept
}

fn command_exit(error: &CommandError) -> Exit {
    match error {
        CommandError::Refused(refusal) => refusal_exit(refusal),
        CommandError::Hold(HoldRefusal::Unknown) => Exit::NotFound,
        CommandError::Hold(HoldRefusal::NotHeld(_) | HoldRefusal::NotRunning) => Exit::Refused,
        CommandError::Token(refusal) => token_exit(refusal),
        CommandError::Plan(_) | CommandError::Hashing(_) => Exit::Usage,
        CommandError::NoPlan { .. } => Exit::NotFound,
        CommandError::Beyond { .. }
        | CommandError::EmailTaken { .. }
        | CommandError::DefaultPlan { .. }
        | CommandError::Stale { .. }
        | CommandError::KeyReused
        | CommandError::Quarantined(_) => Exit::Refused,
        CommandError::TooManyInvitations { .. } => Exit::Unavailable,
        CommandError::Contended | CommandError::Busy(_) | CommandError::Entropy(_) => Exit::Unavailable,
        CommandError::Store(error) => store_exit(error),
        CommandError::Codec(error) => codec_exit(error),
        CommandError::Secrets(error) => secrets_exit(error),
    }
}

fn refusal_exit(refusal: &CommandRefusal) -> Exit {
    match refusal {
        CommandRefusal::NoUser | CommandRefusal::NoKey(_) => Exit::NotFound,
        CommandRefusal::TooLong { .. } | CommandRefusal::Hidden { .. } | CommandRefusal::Bounds(_) => Exit::Usage,
        CommandRefusal::Deleted
        | CommandRefusal::Disabled
        | CommandRefusal::MailStopped(_)
        | CommandRefusal::Exists
        | CommandRefusal::KeyExists(_)
        | CommandRefusal::KeyEnded(_)
        | CommandRefusal::KeyExpired(_)
        | CommandRefusal::SignIn(_)
        | CommandRefusal::TooManyKeys { .. }
        | CommandRefusal::LastAdministrator
        | CommandRefusal::TooManyAdministrators => Exit::Refused,
    }
}

fn token_exit(refusal: &TokenRefusal) -> Exit {
    match refusal {
        TokenRefusal::NoToken(_) => Exit::NotFound,
        TokenRefusal::Exists(_) | TokenRefusal::NameTaken { .. } | TokenRefusal::TooMany => Exit::Refused,
        TokenRefusal::LongName | TokenRefusal::Hidden(_) | TokenRefusal::NoScope | TokenRefusal::Past => Exit::Usage,
    }
}

fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Unavailable(_) | StoreError::Full(_) => Exit::Unavailable,
        StoreError::Corrupt(_) | StoreError::Incompatible(_) => Exit::Damaged,
        StoreError::Limit(_) | StoreError::ReadOnly => Exit::Refused,
    }
}

fn codec_exit(error: &CodecError) -> Exit {
    match error {
        CodecError::TooLarge { .. } | CodecError::NoPersonalKey => Exit::Refused,
        CodecError::Unknown { .. }
        | CodecError::Malformed { .. }
        | CodecError::Invalid { .. }
        | CodecError::Encode(_) => Exit::Damaged,
    }
}

fn secrets_exit(error: &SecretsError) -> Exit {
    match error {
        SecretsError::Io { .. } | SecretsError::Entropy(_) => Exit::Unavailable,
        SecretsError::Privacy(_) | SecretsError::Link { .. } => Exit::Refused,
        SecretsError::Exposed { .. }
        | SecretsError::Malformed { .. }
        | SecretsError::MalformedCheckpointKey { .. }
        | SecretsError::UnknownVersion(_)
        | SecretsError::Lost { .. }
        | SecretsError::NotOurs { .. } => Exit::Damaged,
    }
}

fn records_exit(error: &RecordStoreError) -> Exit {
    match error {
        RecordStoreError::UnknownDataSet { .. }
        | RecordStoreError::VersionGone { .. }
        | RecordStoreError::MomentGone { .. }
        | RecordStoreError::NoSuchVersion { .. } => Exit::NotFound,
        RecordStoreError::BadName { .. } => Exit::Usage,
        RecordStoreError::ImportRunning { .. }
        | RecordStoreError::NameTaken { .. }
        | RecordStoreError::NotRenamed
        | RecordStoreError::NotHeld { .. }
        | RecordStoreError::IdentityChanged { .. } => Exit::Refused,
        RecordStoreError::WrongRole { .. }
        | RecordStoreError::Corrupt { .. }
        | RecordStoreError::OtherDataSet { .. }
        | RecordStoreError::BadRow { .. }
        | RecordStoreError::DryRun { .. } => Exit::Damaged,
        RecordStoreError::TooLong { .. } => Exit::BadFile,
        RecordStoreError::Busy
        | RecordStoreError::Committing { .. }
        | RecordStoreError::Copying { .. }
        | RecordStoreError::TimedOut { .. }
        | RecordStoreError::Stalled
        | RecordStoreError::TooLarge { .. }
        | RecordStoreError::TooManyGroups { .. }
        | RecordStoreError::TooManyValues
        | RecordStoreError::DefinitionChanged { .. }
        | RecordStoreError::Unavailable { .. } => Exit::Unavailable,
    }
}

fn import_exit(error: &ImportError) -> Exit {
    match error {
        ImportError::FileName(_) => Exit::Usage,
        ImportError::Read(_) => Exit::BadFile,
        ImportError::Guarded(_) | ImportError::Cancelled | ImportError::Elsewhere { .. } | ImportError::NotHere => {
            Exit::Refused
        }
        ImportError::NoDefinition { .. } => Exit::NotFound,
        ImportError::Lost(_) => Exit::Damaged,
        ImportError::Said(_) | ImportError::Definitions(_) => Exit::Usage,
        ImportError::Records(error) => records_exit(error),
        ImportError::Command(error) => command_exit(error),
        ImportError::Rejects { .. }
        | ImportError::Spool { .. }
        | ImportError::Interrupted(_)
        | ImportError::Busy(_) => Exit::Unavailable,
    }
}

fn start_exit(error: &StartError) -> Exit {
    match error {
        StartError::Served { .. } | StartError::IsCopy { .. } | StartError::UnfinishedCopy { .. } => Exit::Refused,
        StartError::HasDeployment { .. } => Exit::Refused,
        StartError::NothingToRead { .. } => Exit::NotFound,
        StartError::ReadOnlyNeedsFiles => Exit::Usage,
        StartError::Privacy(PrivacyError::Io { .. }) => Exit::Unavailable,
        StartError::Privacy(_) => Exit::Refused,
        StartError::LostDatabase { .. } => Exit::Damaged,
        StartError::NotData { .. }
        | StartError::Definition(_)
        | StartError::Definitions(_)
        | StartError::Look(_)
        | StartError::Mail(_)
        | StartError::Templates(_) => Exit::Usage,
        StartError::Io { .. } | StartError::Listen { .. } | StartError::Entropy(_) => Exit::Unavailable,
        StartError::Marked(_) => Exit::Refused,
        StartError::Transfer(error) => transfer_exit(error),
        StartError::Seal(SealingError::Broken { .. }) => Exit::Damaged,
        StartError::Seal(SealingError::Store(error)) => store_exit(error),
        StartError::Seal(SealingError::Kept(error)) | StartError::Covered(error) => match error {
            CoveredError::Damaged { .. } => Exit::Damaged,
            CoveredError::Store(error) => store_exit(error),
        },
        StartError::Secrets(error) => secrets_exit(error),
        StartError::Store(error) => store_exit(error),
        StartError::Queue(error) => queue_exit(error),
        StartError::Aws(_) | StartError::Hashing(_) | StartError::Provider(_) => Exit::Usage,
        StartError::SharedSecret(OpenSecretError::Store(error)) => store_exit(error),
        StartError::SharedSecret(OpenSecretError::Secrets(error)) => secrets_exit(error),
        StartError::Records(error) => records_exit(error),
        StartError::Command(error) => command_exit(error),
        StartError::Import(error) => import_exit(error),
        StartError::Judge(JudgeError::Store(error)) => store_exit(error),
        StartError::Judge(JudgeError::Records(error)) => records_exit(error),
    }
}

fn transfer_exit(error: &TransferError) -> Exit {
    match error {
        TransferError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
        // What is no file of zstd or age, or is cut off.
        TransferError::Io { source, .. }
            if matches!(source.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) =>
        {
            Exit::BadFile
        }
        TransferError::Io { .. } => Exit::Unavailable,
        TransferError::Exists { .. } | TransferError::Taken | TransferError::OtherFile { .. } => Exit::Refused,
        TransferError::NoLog { .. }
        | TransferError::Newer { .. }
        | TransferError::Damaged { .. }
        | TransferError::Sealed { .. }
        | TransferError::Encrypted { .. } => Exit::BadFile,
        TransferError::Key { .. } => Exit::Usage,
        TransferError::Chain(_) | TransferError::Secret(_) | TransferError::Replay(ReplayError::Codec(_)) => {
            Exit::Damaged
        }
        TransferError::Store(error) | TransferError::Replay(ReplayError::Store(error)) => store_exit(error),
    }
}

fn move_exit(error: &MoveError) -> Exit {
    match error {
        MoveError::SameBackend(_) => Exit::Usage,
        MoveError::TargetTaken { .. }
        | MoveError::DirectoryTaken { .. }
        | MoveError::OtherBegan { .. }
        | MoveError::OtherSecret { .. }
        | MoveError::OtherMove { .. }
        | MoveError::MovedBefore { .. }
        | MoveError::TargetLost { .. }
        | MoveError::Interfered
        | MoveError::NotMoving
        | MoveError::TooLate { .. } => Exit::Refused,
        MoveError::Differs(_) => Exit::Damaged,
        MoveError::Checkpoints(_) | MoveError::Entropy(_) | MoveError::Bridge(_) => Exit::Unavailable,
        MoveError::Privacy(PrivacyError::Io { .. }) => Exit::Unavailable,
        MoveError::Privacy(_) => Exit::Refused,
        MoveError::Start(error) => start_exit(error),
        MoveError::Transfer(error) => transfer_exit(error),
        MoveError::Records(RecordsMoveError::Start(error)) => start_exit(error),
        MoveError::Records(RecordsMoveError::Records(error) | RecordsMoveError::Fill(FillError::Records(error))) => {
            records_exit(error)
        }
        MoveError::Records(
            RecordsMoveError::Fill(_) | RecordsMoveError::SameBackend | RecordsMoveError::Privacy(_),
        ) => Exit::Refused,
        MoveError::Records(RecordsMoveError::Replicas { .. }) => Exit::Unavailable,
        MoveError::Store(error) | MoveError::Replay(ReplayError::Store(error)) => store_exit(error),
        MoveError::Replay(ReplayError::Codec(error)) => codec_exit(error),
        MoveError::Queue(error) => queue_exit(error),
    }
}

fn queue_exit(error: &QueueError) -> Exit {
    match error {
        QueueError::Unavailable(_) => Exit::Unavailable,
        QueueError::Store(error) => store_exit(error),
        QueueError::Unreadable(_) | QueueError::TooLong { .. } => Exit::Damaged,
        QueueError::NoDeadLetter(_) => Exit::NotFound,
    }
}

fn copy_exit(error: &CopyError) -> Exit {
    match error {
        CopyError::NotEmpty { .. } | CopyError::Inside { .. } | CopyError::Privacy(_) => Exit::Refused,
        CopyError::Future { .. } => Exit::Usage,
        CopyError::Nothing(_) => Exit::NotFound,
        CopyError::Io { .. } => Exit::Unavailable,
        CopyError::Start(error) => start_exit(error),
        CopyError::Store(error) | CopyError::Replay(ReplayError::Store(error)) => store_exit(error),
        CopyError::Replay(ReplayError::Codec(error)) => codec_exit(error),
        CopyError::Records(error) => records_exit(error),
    }
}

fn backup_exit(error: &BackupError) -> Exit {
    match error {
        BackupError::Aws | BackupError::NotEmpty { .. } | BackupError::Inside { .. } | BackupError::Privacy(_) => {
            Exit::Refused
        }
        BackupError::NoBackup { .. } => Exit::NotFound,
        BackupError::Damaged { .. } | BackupError::Newer { .. } => Exit::Damaged,
        BackupError::Io { .. } => Exit::Unavailable,
        BackupError::Store(error) | BackupError::Replay(ReplayError::Store(error)) => store_exit(error),
        BackupError::Replay(ReplayError::Codec(error)) => codec_exit(error),
    }
}

macro_rules! failures {
    ($($error:ty => $exit:expr;)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let exit: fn(&$error) -> Exit = $exit;
                Self::new(exit(&error), error.to_string())
            }
        })*
    };
}

failures! {
    CommandError => command_exit;
    StoreError => store_exit;
    CodecError => codec_exit;
    ImportError => import_exit;
    StartError => start_exit;
    BackupError => backup_exit;
    CopyError => copy_exit;
    MoveError => move_exit;
    CompareError => |error| match error {
        CompareError::Replay(ReplayError::Codec(error)) => codec_exit(error),
        CompareError::Replay(ReplayError::Store(error)) => store_exit(error),
        CompareError::Other(_) => Exit::Usage,
        CompareError::Lines(_) => Exit::Unavailable,
    };
    QueueError => queue_exit;
    ReadError => |_| Exit::BadFile;
    AccessError => |_| Exit::Usage;
    SesError => |_| Exit::Unavailable;
    ConfigError => |error| match error {
        ConfigError::Closed(_) => Exit::Refused,
        _ => Exit::Usage,
    };
    TelemetryError => |_| Exit::Usage;
    Busy => |_| Exit::Unavailable;
    SampleError => |error| match error {
        SampleError::Rows { .. } => Exit::Usage,
        SampleError::Write(_) | SampleError::Csv(_) | SampleError::Xlsx(_) => Exit::Unavailable,
    };
    TransferError => transfer_exit;
    ReplayError => |error| match error {
        ReplayError::Codec(error) => codec_exit(error),
        ReplayError::Store(error) => store_exit(error),
    };
    SweepError => |error| match error {
        SweepError::Store(error) => store_exit(error),
        SweepError::Queue(error) => queue_exit(error),
        SweepError::Stream(error) => command_exit(error),
        SweepError::Busy(_) => Exit::Unavailable,
    };
    ExampleError => |error| match error {
        ExampleError::NoMail(_) => Exit::NotFound,
        ExampleError::Template(_) => Exit::Usage,
        ExampleError::Command(error) => command_exit(error),
    };
    DrainError => |error| match error {
        DrainError::Queue(error) => queue_exit(error),
        DrainError::Busy(_) => Exit::Unavailable,
    };
}
