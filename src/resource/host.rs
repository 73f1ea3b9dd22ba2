//! The kind `host`: a machine, or what stands for one, that runs nodes. What a host is made of is its backend's.

use super::{
    Decision, Drift, Key, Kind, KindError, Observed, ProcessSeen, Recorded, Refusal, Subject, Work, compare,
};
use crate::causes::with_causes;
use crate::clock::Until;
use crate::engine::Context;
use crate::tool::Lack;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Inputs of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostInputs {
    /// The backend's name, such as `local`.
    pub backend: String,
    /// The address at which others reach it, for backends that don't assign one themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The failure domain; where none is declared, the host is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What keeps hosts of one machine apart.
    #[serde(default, skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Size in MiB of the disk that each node has for its data; where none is declared, it shares the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
}

/// What keeps hosts of one machine apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Nothing: they share the machine's network.
    #[default]
    None,
    /// Each is a network namespace, with a cable to a switch of the stack: it can be cut off.
    Netns,
}

impl Isolation {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The kind `host`.
#[derive(Debug, Clone, Copy)]
pub struct HostKind;

/// The status of a host with which nothing is wrong.
const UP: &str = "up";

impl HostKind {
    /// The kind's name.
    pub const NAME: &'static str = "host";
}

#[async_trait]
impl Kind for HostKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), String> {
        serde_json::from_value::<HostInputs>(inputs.clone()).map(|_| ()).map_err(|e| e.to_string())
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        let Some(declared) = subject.declared else {
            return Decision::Delete { loses: String::new() };
        };
        let Some(recorded) = subject.recorded else {
            return Decision::Create { reason: String::new(), detail: Value::Null };
        };
        let changes = compare(&recorded.inputs, declared);
        if changes.iter().any(|change| change.path != "zone") {
            let fields: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
            return Decision::Refuse(Refusal {
                key: subject.key.clone(),
                reason: format!("its {} can't change while it holds a node", fields.join(" and ")),
                hint: "declare a host with another name and move the node, or destroy the stack".into(),
            });
        }
        match subject.observed {
            _ if recorded.pending => {
                Decision::Create { reason: "an earlier up was cut off".into(), detail: Value::Null }
            }
            Observed::Absent => Decision::Create { reason: "is gone".into(), detail: Value::Null },
            Observed::Present { status, .. } if status != UP => {
                Decision::Update { changes, reason: format!("is {status}"), disrupts: None }
            }
            _ if changes.is_empty() => Decision::Same,
            _ => Decision::Update { changes, reason: String::new(), disrupts: None },
        }
    }

    fn allows_rename(&self, key: &Key) -> Result<(), Refusal> {
        Err(Refusal {
            key: key.clone(),
            reason: "all that runs on a host would stop while it is renamed".into(),
            hint: "leave the host its name; the nodes on it can be renamed".into(),
        })
    }

    fn drift(&self, _recorded: &Recorded, observed: &Observed) -> Drift {
        match observed {
            Observed::Present { status, .. } if status == UP => Drift::None,
            Observed::Present { status, .. } => Drift::Impaired { how: format!("is {status}") },
            Observed::Absent => Drift::Impaired { how: "is gone".into() },
            Observed::Unknown(why) => Drift::Unknown { why: why.clone() },
        }
    }

    async fn observe(&self, context: &Context, subjects: &BTreeMap<Key, Value>) -> BTreeMap<Key, Observed> {
        let looks = subjects.iter().map(|(key, value)| async move {
            let observed = match context.host_of(key, value) {
                Err(error) => Observed::Unknown(with_causes(&error)),
                Ok(host) => match host.power().await {
                    Ok(None) => Observed::Absent,
                    Ok(Some(up)) => Observed::Present {
                        status: host
                            .disturbance()
                            .filter(|_| up)
                            .unwrap_or(if up { UP } else { "down" })
                            .into(),
                        detail: Value::Null,
                        process: if up { ProcessSeen::Runs } else { ProcessSeen::Gone },
                        broken: None,
                    },
                    Err(error) => Observed::Unknown(with_causes(&error)),
                },
            };
            (key.clone(), observed)
        });
        // Side by side: one that doesn't answer takes its time.
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    async fn lacking(&self, context: &Context, work: &[Work]) -> Result<Vec<Lack>, KindError> {
        let mut lacking = Vec::new();
        for item in work {
            lacking.extend(context.host_of(&item.key, &item.inputs)?.lacking());
        }
        Ok(lacking)
    }

    async fn prepare(&self, context: &Context, work: &[Work]) -> Result<(), KindError> {
        for item in work {
            context.host_of(&item.key, &item.inputs)?.check()?;
        }
        Ok(())
    }

    async fn create(
        &self,
        context: &Context,
        key: &Key,
        value: &Value,
        _detail: &Value,
    ) -> Result<Value, KindError> {
        let address = context.host_of(key, value)?.boot().await?;
        let zone = KindError::read::<HostInputs>(key, value)?.zone.unwrap_or_else(|| key.name.clone());
        Ok(json!({ "address": address, "zone": zone }))
    }

    async fn update(
        &self,
        context: &Context,
        key: &Key,
        _before: &Value,
        after: &Value,
        _until: Option<Until>,
    ) -> Result<Value, KindError> {
        self.create(context, key, after, &Value::Null).await
    }

    async fn halt(&self, context: &Context, key: &Key, inputs: &Value) -> Result<bool, KindError> {
        let host = context.host_of(key, inputs)?;
        if host.power().await? != Some(true) {
            return Ok(false);
        }
        host.halt().await?;
        Ok(true)
    }

    async fn delete(&self, context: &Context, key: &Key, before: &Value) -> Result<(), KindError> {
        Ok(context.host_of(key, before)?.destroy().await?)
    }
}
