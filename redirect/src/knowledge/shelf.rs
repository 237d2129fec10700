//! The newest document of each service, for those who hand them out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::sync::watch;

use super::document::Order;
use super::envelope::Envelope;

/// Services on one shelf: as many as a cluster may have, many times over.
const SERVICES: usize = 4_096;

/// A document was not put on the shelf, which stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShelfError {
    /// A newer one is there.
    #[error("a newer document is there already ({0})")]
    Older(Order),
    /// There is no room.
    #[error("{SERVICES} services have a document already")]
    Full,
}

/// The newest document of each service. Its copies are one shelf.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<BTreeMap<String, watch::Sender<Arc<Envelope>>>>>);

impl Shelf {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a document there and wakes whoever watches its service. Whether it was news: the one
    /// that is there already is none.
    ///
    /// # Errors
    /// See [`ShelfError`].
    pub fn put(&self, envelope: Envelope) -> Result<bool, ShelfError> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let document = envelope.document();
        if let Some(place) = places.get(&document.service) {
            let known = place.borrow().document().order;
            if document.order < known {
                return Err(ShelfError::Older(known));
            }
            let is_news = document.order != known;
            if is_news {
                place.send_replace(Arc::new(envelope));
            }
            return Ok(is_news);
        }
        if places.len() >= SERVICES {
            return Err(ShelfError::Full);
        }
        let service = document.service.clone();
        places.insert(service, watch::Sender::new(Arc::new(envelope)));
        Ok(true)
    }

    /// Takes away what is known of a service that is no more; its watchers hear that it ends.
    /// Whether there was anything.
    #[must_use]
    pub fn remove(&self, service: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(service).is_some()
    }

    /// The newest document of a service.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<Arc<Envelope>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(service).map(|place| place.borrow().clone())
    }

    /// The newest document of each service, by its name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Envelope>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.values().map(|place| place.borrow().clone()).collect()
    }

    /// The newest document now and from now on.
    pub(super) fn watch(&self, service: &str) -> Option<watch::Receiver<Arc<Envelope>>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(service).map(watch::Sender::subscribe)
    }
}
