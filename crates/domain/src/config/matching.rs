//! Which configurations apply to a question, and why the others do not.

use super::{Aspect, Pattern, Reason, Rule};
use crate::{
    ConfigId, ConfigName, ConfigStatus, ConfigType, Document, Severity, Slug, TeamId, TeamName,
};

/// A configuration that may apply: what [`resolve`](super::resolve()) needs of its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its id. Of two that are as strong, the one with the greater id is stronger.
    pub id: ConfigId,
    /// Its name, for people.
    pub name: ConfigName,
    /// Its layer; see [`ConfigType::strength`].
    pub config_type: ConfigType,
    /// Active and deprecated ones apply.
    pub status: ConfigStatus,
    /// Switched off when false.
    pub is_active: bool,
    /// Applies to every team: `team_id` and `team_pattern` are not looked at.
    pub is_global: bool,
    /// Decides inside a layer; the greater is stronger.
    pub priority: i32,
    /// The one team that it is for.
    pub team_id: Option<TeamId>,
    /// Must match the slug or the name of the team.
    pub team_pattern: Option<Pattern>,
    /// Must match what is asked about: of the layer `agent` the agent, of all others the name.
    pub name_pattern: Option<Pattern>,
    /// Must match the severity.
    pub severity_pattern: Option<Pattern>,
    /// What it says.
    pub body: Document,
}

/// What is asked about. What is left out is not asked about: a configuration that makes a condition
/// of it does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The team.
    pub team: Option<AskedTeam>,
    /// The name of the alert, or of whatever else looks for its configuration.
    pub name: Option<ConfigName>,
    /// How bad the alert is.
    pub severity: Option<Severity>,
    /// The name of the agent.
    pub agent: Option<ConfigName>,
}

/// The team of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedTeam {
    /// Its id.
    pub id: TeamId,
    /// Its slug.
    pub slug: Slug,
    /// Its name.
    pub name: TeamName,
}

impl ConfigType {
    /// Returns how strong the layer is, from 0: global, organization, team, alert, agent.
    ///
    /// An agent is stronger than an alert: what somebody set for one agent, such as how long it may
    /// run, holds whatever the alert is.
    pub const fn strength(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Organization => 1,
            Self::Team => 2,
            Self::Alert => 3,
            Self::Agent => 4,
        }
    }
}

impl Candidate {
    /// Returns what decides between two candidates: layer, priority, id. The greater is stronger.
    pub(super) fn strength(&self) -> (u8, i32, ConfigId) {
        (self.config_type.strength(), self.priority, self.id)
    }

    /// Tells whether it applies.
    ///
    /// # Errors
    ///
    /// The first reason why not.
    pub fn applies_to(&self, question: &Question) -> Result<(), Reason> {
        if !self.is_active {
            return Err(Reason::Inactive);
        }
        if !matches!(self.status, ConfigStatus::Active | ConfigStatus::Deprecated) {
            return Err(Reason::Status(self.status));
        }
        if !self.is_global {
            self.is_for_team(question.team.as_ref())?;
        }
        let name = match self.config_type {
            ConfigType::Agent => (Aspect::Agent, question.agent.as_ref()),
            _ => (Aspect::Name, question.name.as_ref()),
        };
        let layer = Rule::Layer(self.config_type);
        match self.config_type {
            ConfigType::Alert if question.name.is_none() && question.severity.is_none() => {
                return Err(Reason::NotAsked { rule: layer, needs: Aspect::Alert });
            }
            ConfigType::Agent if question.agent.is_none() => {
                return Err(Reason::NotAsked { rule: layer, needs: Aspect::Agent });
            }
            _ => {}
        }
        let (needs, name) = name;
        check(Rule::NamePattern, self.name_pattern.as_ref(), needs, name.map(|n| [n.as_str()]))?;
        check(
            Rule::SeverityPattern,
            self.severity_pattern.as_ref(),
            Aspect::Severity,
            question.severity.map(|severity| [severity.as_str()]),
        )
    }

    fn is_for_team(&self, team: Option<&AskedTeam>) -> Result<(), Reason> {
        let Some(team) = team else {
            let rule = match self {
                Self { team_id: Some(_), .. } => Rule::TeamId,
                Self { team_pattern: Some(_), .. } => Rule::TeamPattern,
                Self { config_type: ConfigType::Team, .. } => Rule::Layer(ConfigType::Team),
                _ => return Ok(()),
            };
            return Err(Reason::NotAsked { rule, needs: Aspect::Team });
        };
        if let Some(other) = self.team_id.filter(|id| *id != team.id) {
            return Err(Reason::OtherTeam(other));
        }
        let names = [team.slug.as_str(), team.name.as_str()];
        check(Rule::TeamPattern, self.team_pattern.as_ref(), Aspect::Team, Some(names))
    }
}

/// Matches a pattern, if there is one, against any of the texts that the question gives.
fn check<const N: usize>(
    rule: Rule,
    pattern: Option<&Pattern>,
    needs: Aspect,
    texts: Option<[&str; N]>,
) -> Result<(), Reason> {
    let Some(pattern) = pattern else { return Ok(()) };
    let texts = texts.ok_or(Reason::NotAsked { rule, needs })?;
    if texts.iter().any(|text| pattern.matches(text)) {
        return Ok(());
    }
    let texts = texts.map(str::to_owned).into();
    Err(Reason::NoMatch { rule, pattern: pattern.clone(), texts })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn team(number: u128) -> AskedTeam {
        AskedTeam {
            id: TeamId::from_uuid(Uuid::from_u128(number)),
            slug: "sre-eu".parse().unwrap(),
            name: "Site Reliability".parse().unwrap(),
        }
    }

    fn everything() -> Question {
        Question {
            team: Some(team(1)),
            name: Some("disk-full".parse().unwrap()),
            severity: Some(Severity::High),
            agent: Some("triage".parse().unwrap()),
        }
    }

    fn candidate(config_type: ConfigType) -> Candidate {
        Candidate {
            id: ConfigId::from_uuid(Uuid::from_u128(9)),
            name: "x".parse().unwrap(),
            config_type,
            status: ConfigStatus::Active,
            is_active: true,
            is_global: false,
            priority: 0,
            team_id: None,
            team_pattern: None,
            name_pattern: None,
            severity_pattern: None,
            body: Document::default(),
        }
    }

    fn pattern(text: &str) -> Option<Pattern> {
        text.parse().ok()
    }

    fn why_not(candidate: &Candidate, question: &Question) -> String {
        candidate.applies_to(question).unwrap_err().to_string()
    }

    #[test]
    fn the_layers_from_the_weakest_to_the_strongest() {
        let mut layers = ConfigType::ALL.to_vec();
        layers.sort_by_key(|layer| layer.strength());
        let names: Vec<&str> = layers.into_iter().map(ConfigType::as_str).collect();
        assert_eq!(names, ["global", "organization", "team", "alert", "agent"]);
    }

    #[test]
    fn without_conditions_every_layer_applies_to_a_full_question() {
        for layer in ConfigType::ALL {
            assert_eq!(candidate(*layer).applies_to(&everything()), Ok(()), "{layer}");
        }
    }

    #[test]
    fn what_is_about_something_needs_it_in_the_question() {
        let nothing = Question::default();
        assert_eq!(candidate(ConfigType::Global).applies_to(&nothing), Ok(()));
        assert_eq!(candidate(ConfigType::Organization).applies_to(&nothing), Ok(()));
        for (layer, needs) in [
            (ConfigType::Team, "the layer team needs team"),
            (ConfigType::Alert, "the layer alert needs name or severity"),
            (ConfigType::Agent, "the layer agent needs agent"),
        ] {
            let why = why_not(&candidate(layer), &nothing);
            assert_eq!(why, format!("{needs}, which the question leaves out"));
        }
        let severity = Question { severity: Some(Severity::Low), ..Question::default() };
        assert_eq!(candidate(ConfigType::Alert).applies_to(&severity), Ok(()));
    }

    #[test]
    fn only_what_is_in_use_applies() {
        for status in ConfigStatus::ALL {
            let one = Candidate { status: *status, ..candidate(ConfigType::Global) };
            let in_use = matches!(status, ConfigStatus::Active | ConfigStatus::Deprecated);
            assert_eq!(one.applies_to(&everything()).is_ok(), in_use, "{status}");
        }
        let off = Candidate { is_active: false, ..candidate(ConfigType::Global) };
        assert_eq!(why_not(&off, &everything()), "is_active is false");
        let draft = Candidate { status: ConfigStatus::Draft, ..candidate(ConfigType::Global) };
        assert_eq!(
            why_not(&draft, &everything()),
            "status is draft; only active and deprecated ones apply"
        );
    }

    #[test]
    fn a_team_is_told_by_id_slug_and_name() {
        for layer in ConfigType::ALL {
            let theirs = Candidate { team_id: Some(team(2).id), ..candidate(*layer) };
            let why = why_not(&theirs, &everything());
            assert_eq!(why, "team_id is 00000000-0000-0000-0000-000000000002, another team");
            let ours = Candidate { team_id: Some(team(1).id), ..candidate(*layer) };
            assert_eq!(ours.applies_to(&everything()), Ok(()));
            for (text, matches) in [("sre-.*", true), ("Site .*", true), ("sre", false)] {
                let one = Candidate { team_pattern: pattern(text), ..candidate(*layer) };
                assert_eq!(one.applies_to(&everything()).is_ok(), matches, "{text}");
            }
        }
        let one = Candidate { team_pattern: pattern("db"), ..candidate(ConfigType::Team) };
        assert_eq!(
            why_not(&one, &everything()),
            "team_pattern `db` does not match \"sre-eu\" or \"Site Reliability\""
        );
    }

    #[test]
    fn what_is_global_applies_to_every_team_and_still_looks_at_the_rest() {
        let one = Candidate {
            is_global: true,
            team_id: Some(team(2).id),
            team_pattern: pattern("db"),
            ..candidate(ConfigType::Team)
        };
        assert_eq!(one.applies_to(&everything()), Ok(()));
        assert_eq!(one.applies_to(&Question::default()), Ok(()));
        let one = Candidate { name_pattern: pattern("cpu"), ..one };
        assert!(one.applies_to(&everything()).is_err());
    }

    #[test]
    fn a_name_pattern_is_about_the_agent_in_the_layer_agent_and_about_the_name_elsewhere() {
        for layer in ConfigType::ALL {
            let text = if *layer == ConfigType::Agent { "triage" } else { "disk-.*" };
            let one = Candidate { name_pattern: pattern(text), ..candidate(*layer) };
            assert_eq!(one.applies_to(&everything()), Ok(()), "{layer}");
        }
    }

    #[test]
    fn a_pattern_on_what_is_not_asked_about_does_not_match() {
        for (field, needs) in [("name", "name"), ("severity", "severity"), ("team", "team")] {
            let mut one = candidate(ConfigType::Organization);
            match field {
                "name" => one.name_pattern = pattern(".*"),
                "severity" => one.severity_pattern = pattern(".*"),
                _ => one.team_pattern = pattern(".*"),
            }
            assert_eq!(one.applies_to(&everything()), Ok(()));
            assert_eq!(
                why_not(&one, &Question::default()),
                format!("{field}_pattern needs {needs}, which the question leaves out")
            );
        }
    }

    #[test]
    fn a_reason_is_a_code_and_a_sentence() {
        let one = Candidate { name_pattern: pattern("^cpu"), ..candidate(ConfigType::Alert) };
        let reason = one.applies_to(&everything()).unwrap_err();
        assert_eq!(
            serde_json::to_value(reason).unwrap(),
            json!({
                "code": "no_match",
                "message": "name_pattern `^cpu` does not match \"disk-full\"",
            })
        );
    }
}
