//! Faults, and their ends. Each is what a real machine room does, and nothing gentler.

use crate::bed::Bed;
use crate::error::LabError;
use crate::host::Host;
use crate::link::Link;
use crate::switch::Trunk;

impl Bed {
    /// Cuts a host off: the switch drops all frames on all its cables, both ways. The host goes on
    /// running and sees its carrier up.
    pub fn cut(&self, host: &Host) -> Result<(), LabError> {
        host.links().iter().try_for_each(|link| link.set_cut(true))
    }

    /// Ends [`Bed::cut`].
    pub fn heal(&self, host: &Host) -> Result<(), LabError> {
        host.links().iter().try_for_each(|link| link.set_cut(false))
    }

    /// Cuts one cable of a host, as [`Bed::cut`] does.
    pub fn cut_link(&self, link: &Link) -> Result<(), LabError> {
        link.set_cut(true)
    }

    /// Ends [`Bed::cut_link`].
    pub fn heal_link(&self, link: &Link) -> Result<(), LabError> {
        link.set_cut(false)
    }

    /// Cuts two switches apart.
    pub fn cut_trunk(&self, trunk: &Trunk) -> Result<(), LabError> {
        trunk.set_cut(true)
    }

    /// Ends [`Bed::cut_trunk`].
    pub fn heal_trunk(&self, trunk: &Trunk) -> Result<(), LabError> {
        trunk.set_cut(false)
    }

    /// Pulls a cable: the host loses its carrier.
    pub fn unplug(&self, link: &Link) -> Result<(), LabError> {
        link.set_carrier(false)
    }

    /// Plugs the cable in again. A cable that was cut is still cut.
    pub fn plug_in(&self, link: &Link) -> Result<(), LabError> {
        link.set_carrier(true)
    }

    /// Power loss: first nothing leaves the host any more, then every process on it is killed. So
    /// no FIN, RST or ICMP tells anybody, as no dead machine does.
    pub fn silence_then_kill(&self, host: &Host) -> Result<(), LabError> {
        self.cut(host)?;
        host.kill_all()
    }

    /// Power again: kills what is left and gives the host an empty room, with its cables, their
    /// addresses and the routes as they were laid, and nothing else. Its programs are not started.
    pub fn power_on(&self, host: &Host) -> Result<(), LabError> {
        host.kill_all()?;
        host.reborn()
    }
}
