//! How far the brokers of a cluster agree on who their controller is. Pure.

use super::{BrokerAnswer, ClusterView};
use std::collections::{BTreeMap, BTreeSet};

/// How far the cluster agrees on its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerStanding {
    /// Every broker that answered names this one, and so does it itself.
    Agreed(i32),
    /// All name this one, but it did not answer: dead and not yet replaced, or unreachable from here.
    NotAnswering(i32),
    /// Brokers name different ones, or some name none (`None`): a controller is being elected, or a broker
    /// is starting. Addresses by the controller they name.
    Disputed(BTreeMap<Option<i32>, BTreeSet<String>>),
    /// No broker names one.
    Unknown,
}

impl ClusterView {
    /// How far the brokers that answered agree on the controller.
    pub fn controller_standing(&self) -> ControllerStanding {
        let answered = || {
            self.answers.iter().filter_map(|(address, answer)| match answer {
                BrokerAnswer::Answered { id, controller, .. } => Some((address, *id, *controller)),
                BrokerAnswer::Silent { .. } => None,
            })
        };
        let named: BTreeSet<Option<i32>> = answered().map(|(_, _, controller)| controller).collect();
        match (named.len(), named.first().copied().flatten()) {
            (1, Some(one)) if answered().any(|(_, id, _)| id == Some(one)) => ControllerStanding::Agreed(one),
            (1, Some(one)) => ControllerStanding::NotAnswering(one),
            (0 | 1, _) => ControllerStanding::Unknown,
            _ => {
                let mut disputed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
                for (address, _, controller) in answered() {
                    disputed.entry(controller).or_default().insert(address.clone());
                }
                ControllerStanding::Disputed(disputed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::view::tests::{answered, view};

    #[test]
    fn a_controller_is_agreed_when_all_name_it_and_it_answered() {
        let mut view = view(vec![], 1);
        view.answers = BTreeMap::from([answered(1, Some(1)), answered(2, Some(1))]);
        view.answers.insert("b3:9092".into(), BrokerAnswer::Silent { why: "down".into(), closed: true });
        assert_eq!(view.controller_standing(), ControllerStanding::Agreed(1));
    }

    #[test]
    fn a_controller_that_does_not_answer_is_said_so() {
        let mut view = view(vec![], 1);
        view.answers = BTreeMap::from([answered(2, Some(1)), answered(3, Some(1))]);
        assert_eq!(view.controller_standing(), ControllerStanding::NotAnswering(1));
    }

    #[test]
    fn brokers_that_name_different_controllers_dispute_it() {
        let mut view = view(vec![], 1);
        view.answers = BTreeMap::from([answered(1, Some(1)), answered(2, Some(1)), answered(3, None)]);
        let ControllerStanding::Disputed(named) = view.controller_standing() else { panic!("not disputed") };
        assert_eq!(named[&None], BTreeSet::from(["b3:9092".to_string()]));
        assert_eq!(named[&Some(1)].len(), 2);
    }

    #[test]
    fn a_controller_nobody_names_is_unknown() {
        let mut view = view(vec![], 1);
        assert_eq!(view.controller_standing(), ControllerStanding::Unknown);
        view.answers = BTreeMap::from([answered(1, None)]);
        assert_eq!(view.controller_standing(), ControllerStanding::Unknown);
    }
}
