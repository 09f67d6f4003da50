//! Which agent answers, from flags and environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::exit_code::{ExitCode, Failure};
use super::times::duration;
use crate::agent::openai::{OpenAiConfig, Times, settings};
use crate::agent::{Agent, AgentKind, Attach, Echo, OpenAi, Silent};
use crate::config::Environment;
use crate::credential::ClientId;
use crate::link::Desk;
use crate::store::Store;
use crate::tls;

#[derive(Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// Who answers [default: echo; of a gateway as its config file says, else echo].
    #[arg(long = "agent", value_enum)]
    kind: Option<AgentKind>,
    /// What the model is told before anything else (agent openai).
    #[arg(long, value_name = "TEXT", conflicts_with = "openai_system_prompt_file")]
    openai_system_prompt: Option<String>,
    /// A file with what the model is told before anything else (agent openai).
    #[arg(long, value_name = "FILE")]
    openai_system_prompt_file: Option<PathBuf>,
    /// Time until the model's answer begins (agent openai).
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    openai_first_byte_timeout: Duration,
    /// Time between two pieces of the model's answer (agent openai).
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    openai_idle_timeout: Duration,
    /// Time for the model's whole answer (agent openai).
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    openai_total_timeout: Duration,
    /// Silence of an attached agent after which its turn has failed.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    agent_timeout: Duration,
    /// End when no agent has been attached for so long; what supervises it starts it again.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    linger: Option<Duration>,
}

impl AgentArgs {
    /// Whether the command line names OpenClaw.
    pub(super) fn is_openclaw(&self) -> bool {
        self.kind == Some(AgentKind::OpenClaw)
    }

    /// Who answers an account for which the file says so, or does not.
    pub(super) fn kind(&self, in_file: Option<AgentKind>) -> AgentKind {
        self.kind.or(in_file).unwrap_or(AgentKind::Echo)
    }

    /// How long the program stays without an attached agent; for ever unless said.
    pub(super) fn linger(&self) -> Option<Duration> {
        self.linger
    }

    /// The agent itself. `desk` is where an attached one gets its turns; `store` keeps what it remembers of
    /// its conversations with `client_id`.
    pub(super) fn build(
        &self,
        kind: AgentKind,
        env: &dyn Environment,
        client_id: &ClientId,
        store: &Arc<dyn Store>,
        desk: &Arc<Desk>,
    ) -> Result<Arc<dyn Agent>, Failure> {
        Ok(match kind {
            AgentKind::Echo => Arc::new(Echo),
            AgentKind::None => Arc::new(Silent),
            AgentKind::Attach => Arc::new(Attach::new(Arc::clone(desk), self.agent_timeout)),
            AgentKind::OpenClaw => {
                let attach = Attach::new(Arc::clone(desk), self.agent_timeout);
                Arc::new(attach.admitting_by_itself())
            }
            AgentKind::OpenAi => {
                let config = self.openai(env)?;
                Arc::new(OpenAi::new(config, client_id.clone(), Arc::clone(store)))
            }
        })
    }

    /// What people miss with this agent, if there is a better way to the same one.
    pub(super) fn lacks(kind: AgentKind, env: &dyn Environment) -> Option<&'static str> {
        let model = (kind == AgentKind::OpenAi).then(|| settings::model(env).ok()).flatten()?;
        // The model of an OpenClaw gateway is one of its agents.
        (model == "openclaw" || model.starts_with("openclaw/")).then_some(
            "OpenClaw over HTTP: its commands, pairing, reminders and `openclaw message send` are missing; \
             its plugin has them",
        )
    }

    fn openai(&self, env: &dyn Environment) -> Result<OpenAiConfig, Failure> {
        let base_url = settings::base_url(env)?;
        let tls = match tls::system_trust() {
            Ok(tls) => tls,
            // A local server needs no certificates, which a small image may not have.
            Err(_) if base_url.scheme() == "http" => tls::no_trust(),
            Err(e) => return Err(e.into()),
        };
        Ok(OpenAiConfig {
            base_url,
            api_key: settings::api_key(env)?,
            model: settings::model(env)?,
            system_prompt: self.system_prompt()?,
            tls,
            system_proxy: true,
            times: Times {
                first: self.openai_first_byte_timeout,
                idle: self.openai_idle_timeout,
                total: self.openai_total_timeout,
                ..Times::default()
            },
        })
    }

    fn system_prompt(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.openai_system_prompt_file else {
            return Ok(self.openai_system_prompt.clone());
        };
        std::fs::read_to_string(path).map(Some).map_err(|e| {
            let message = format!(
                "--openai-system-prompt-file {} cannot be read: {e}; name a UTF-8 text file",
                path.display()
            );
            Failure::new(ExitCode::Configuration, message)
        })
    }
}
