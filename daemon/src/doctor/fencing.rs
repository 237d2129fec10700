//! Fence devices: whether this machine has what it takes to ask them. None is asked.

use super::{Finding, Patient};
use crate::fence;

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let devices = patient.config.map(|config| &config.later.fencing.devices);
    let folders = fence::folders();
    let finding = |(name, device)| {
        let check = format!("fence device {name}");
        match fence::lacks(device, &folders) {
            None => Finding::good(&check, "this machine has what it takes to ask it"),
            Some(lack) => {
                let advice = format!("any node may have to ask it; then: stead fence test {name}");
                Finding::bad(&check, lack, &advice)
            }
        }
    };
    devices.into_iter().flatten().map(finding).collect()
}
