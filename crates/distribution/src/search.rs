//! Searching: Docker Hub's first protocol, which other registries rarely have.

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use crate::endpoint::{self, Endpoint, HUB};
use crate::redirect;
use crate::url::{self, Url};
use crate::{Client, Credentials, Error};

/// No page of a hundred repositories is longer.
const LIMIT: usize = 4 << 20;
/// Where Docker Hub answers this.
const HUB_SEARCH: &str = "index.docker.io";

/// One repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

impl Client {
    /// Asks the registry called `domain` for repositories about `term`.
    pub async fn search(
        &self,
        domain: &str,
        term: &str,
        limit: u32,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, Error> {
        let endpoints = match domain {
            HUB => {
                vec![Endpoint {
                    origin: url::origin(HUB_SEARCH, true)?,
                    prefix: String::new(),
                    mirror: false,
                    project: String::new(),
                }]
            }
            domain => endpoint::endpoints(&self.transport.config, domain, true).await?,
        };
        let mut last = None;
        for Endpoint { origin, .. } in endpoints {
            let url =
                Url::new(origin, "/v1/search").with_query("q", term).with_query("n", &limit.to_string());
            match self.search_at(&url, limit, credentials).await {
                Err(error) if error.is_wrong_scheme() => {
                    last.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| Error::Address { what: "a registry's name", value: domain.to_owned() }))
    }

    async fn search_at(
        &self,
        url: &Url,
        limit: u32,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, Error> {
        let header = credentials.and_then(Credentials::basic);
        let asked =
            redirect::follow(&self.transport, &Method::GET, url, &HeaderMap::new(), header.as_ref()).await?;
        let (host, status) = (asked.url.origin.authority(), asked.response.status());
        if status != http::StatusCode::OK {
            return Err(Error::Search { host, status: status.as_u16() });
        }
        let bytes = self.transport.collect(&host, "the search's result", asked.response.into_body(), LIMIT);
        let what = || "the search's result".to_owned();
        let answer: Answer = serde_json::from_slice(&bytes.await?).map_err(|e| Error::Malformed {
            host,
            what: what(),
            why: e.to_string(),
        })?;
        Ok(answer.results.into_iter().take(limit as usize).collect())
    }
}
