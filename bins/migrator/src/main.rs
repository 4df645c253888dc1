//! `brownie-migrator`: makes a database ours and keeps it so. Init containers run it, any number at
//! once; a cron job purges; people look and take back.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.

mod adopt;
mod certs;
mod doctor;
mod drift;
mod lint;
mod migrate;
mod new;
mod organization;
mod partitions;
mod pooler;
mod progress;
mod purge;
mod rows;
mod seed;
mod selftest;
mod standing;

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use brownie_certs::Keeper;
use brownie_config::{CertSettings, DatabaseSettings, LogSettings, Reader};
use brownie_domain::SystemClock;
use brownie_logging::{Logging, Options};
use brownie_migration::Database;
use clap::{CommandFactory, Parser, Subcommand};

/// Migrates the Brownie Metadata Database. Settings come from the environment; env.example lists
/// them. Connect directly, not through a pooler: the lock that keeps migrators apart belongs to a
/// session.
///
/// Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The same as `test`, as the original's scripts had it.
    #[arg(long, exclusive = true)]
    test: bool,
    /// The same as `status`, as the original's scripts had it.
    #[arg(long, exclusive = true)]
    status: bool,
    /// How many seconds to wait for the database, and then for another migrator.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
    /// Print one JSON object instead of lines.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a database of Brownie 0.1 ours, in place.
    Adopt(adopt::Adopt),
    /// Apply what is pending. If another migrator is at work, wait for it.
    Up(migrate::Up),
    /// Take migrations back, with all that is in what they made.
    Down(migrate::Down),
    /// Say what is applied and what is pending. Exits with 3 when anything is, or was changed since.
    Status,
    /// Say how the database differs from what the migrations make: what is missing, unexpected or
    /// different. Any role may ask. Exits with 3 when anything is.
    Drift,
    /// Try every migration up, down and up again, on a database that is made for it on this server
    /// and dropped. The role must be allowed to make one. Exits with 3 when something is left behind.
    Selftest,
    /// Look at what migrating needs, and say what is wrong and what to do. Changes nothing, and waits for
    /// nothing. Exits with 3 when something failed.
    Doctor(brownie_doctor::How),
    /// List the migrations of this program; needs no database.
    History {
        /// Say of each what it does.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Make, look into, judge or fetch certificates.
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Say whether the database can be migrated, and what to do where not. Exits with 3 then.
    Test,
    /// Write the files of a new migration; for whoever works on this program.
    New {
        /// What it is about, such as `incident_labels`.
        name: String,
    },
    /// Judge migrations, or any SQL, by the rules of docs/migrations-lint.md; needs no database. Exits
    /// with 3 when it finds anything.
    Lint(lint::Lint),
    /// Remove for good what is old: deleted rows, and months of the tables that grow with time.
    Purge(purge::Purge),
    /// Make the months to come of the tables that grow with time, or drop those that are old.
    Partitions(partitions::Partitions),
    /// Do for a customer what they cannot do themselves where sign-up is closed.
    #[command(subcommand)]
    Organization(organization::Organization),
    /// Found a demo organization with sample alert rules and an incident. Prints its password once.
    Seed,
    /// Print what makes a shell complete the commands.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff; read it with `man -l -`).
    Man,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let command = match (args.command, args.test) {
        (Some(command), _) => command,
        (None, true) => Command::Test,
        (None, false) => Command::Status,
    };
    let outcome = match command {
        Command::History { verbose } => Ok(standing::history(verbose, args.json)),
        Command::Doctor(how) => doctor::run(how, args.json).await,
        Command::New { name } => new::create(&name, args.json),
        Command::Certs(certs) => certs.run(Duration::from_secs(args.wait), args.json).await,
        Command::Lint(lint) => Ok(lint.run(args.json)),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "brownie-migrator",
                &mut io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => clap_mangen::Man::new(Args::command())
            .render(&mut io::stdout())
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        command => match Settings::read() {
            Ok(settings) => match settings.open(Duration::from_secs(args.wait)).await {
                Ok(database) => on(command, &database, args.json).await,
                Err(error) => Err(error),
            },
            Err(problems) => {
                eprintln!("brownie-migrator: {problems}");
                return ExitCode::from(2);
            }
        },
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("brownie-migrator: {}", brownie_logging::chain(error.as_ref()));
        ExitCode::FAILURE
    })
}

/// What the environment says.
struct Settings {
    database: DatabaseSettings,
    certs: CertSettings,
    /// Lines that wait are written when this goes.
    _logging: Logging,
}

impl Settings {
    /// Reads them, and starts the log.
    fn read() -> Result<Self, String> {
        let mut reader = Reader::from_process();
        let database = DatabaseSettings::read(&mut reader, "brownie-migrator");
        let certs = CertSettings::read(&mut reader, "brownie-migrator");
        let log = LogSettings::read(&mut reader, false);
        reader.finish().map_err(|problems| problems.to_string())?;
        // On standard error always: whoever runs this looks there, and LOG_FILE is a service's.
        let logging = brownie_logging::start(Options::new(log.level, log.json));
        Ok(Self { database, certs, _logging: logging.map_err(|error| error.to_string())? })
    }

    /// Returns the database that they name, to be reached with their certificates.
    async fn open(&self, wait: Duration) -> anyhow::Result<Database> {
        let clock = Arc::new(SystemClock);
        let keeper = Keeper::for_database(&self.database, &self.certs, clock).await?;
        let database = Database::new(self.database.url.expose(), wait);
        Ok(match keeper {
            Some(keeper) => database.with_tls(keeper.current().connector().clone()),
            None => database,
        })
    }
}

/// Does what needs a database.
async fn on(command: Command, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let takes_the_lock = matches!(
        command,
        Command::Adopt(_)
            | Command::Up(_)
            | Command::Down(_)
            | Command::Partitions(_)
            | Command::Purge(_)
    );
    if takes_the_lock {
        pooler::refuse(database).await?;
    }
    match command {
        Command::Adopt(adopt) => adopt.run(database, json).await,
        Command::Up(up) => up.run(database, json).await,
        Command::Down(down) => down.run(database, json).await,
        Command::Drift => drift::run(database, json).await,
        Command::Organization(organization) => organization.run(database, json).await,
        Command::Seed => seed::run(database, json).await,
        Command::Selftest => selftest::run(database, json).await,
        Command::Status => standing::report(database, json).await,
        Command::Test => standing::test(database, json).await,
        Command::Purge(purge) => purge.run(database, json).await,
        Command::Partitions(partitions) => partitions.run(database, json).await,
        Command::Doctor(_)
        | Command::History { .. }
        | Command::New { .. }
        | Command::Certs(_)
        | Command::Lint(_)
        | Command::Completions { .. }
        | Command::Man => Ok(ExitCode::SUCCESS),
    }
}
