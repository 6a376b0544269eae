//! `/{dataset}/proof`: what a mirror needs to see that its copy of a version is what was signed.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::json;

use super::{DataSets, Made, QuestionForm};
use crate::{
    domain::checkpoint::{LeafProof, LogCheckpoint},
    http::{
        Problem, ProblemCode,
        routes::{checkpoints, params::Params},
        store_problem::store_problem,
    },
    store::{KeptCheckpoint, records::DataSet},
};

/// Checkpoints that are looked through at a time.
const PAGE: usize = 100;

impl DataSets {
    pub(super) async fn proof(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<HttpResponse, Problem> {
        let params = Params::read(request.query_string(), &["version"])?;
        let version = params.number::<u64>("version")?.unwrap_or(data_set.version);
        let form = format!("proof;{version}");
        let make = async || {
            let (kept, proof) = self.find_proof(&data_set, version).await?;
            let said = LogCheckpoint::parse(&kept.signed.text).map_err(Problem::internal)?;
            let digest = proof.leaf.rsplit(' ').next().unwrap_or_default();
            let document = json!({
                "dataset": data_set.definition.name,
                "version": version,
                "sha256": digest,
                "leaf": proof.leaf,
                "index": proof.index,
                "leaves": said.leaves,
                "path": proof.path,
                "checkpoint": checkpoints::document(&kept)?,
            });
            Ok(Made { text: Bytes::from(document.to_string()), version: data_set.version, next: None, lasting: true })
        };
        let asked = QuestionForm {
            form: &form,
            version: data_set.version,
            cited_as: None,
            goes_on_by: "version",
            numbers_as_texts: false,
        };
        self.answer_to(request, &data_set, asked, make).await
    }

    /// The checkpoint that a version is in for the first time, and its proof there.
    async fn find_proof(&self, data_set: &DataSet, version: u64) -> Result<(KeptCheckpoint, LeafProof), Problem> {
        let name = &data_set.definition.name;
        let prefix = format!("dataset {name} {version} ");
        let (checkpoints, mut before) = (&self.service.committer.stores.checkpoints, None);
        loop {
            let page = checkpoints.checkpoints(before, PAGE).await.map_err(store_problem)?;
            let is_last = page.len() < PAGE;
            before = page.last().map(|last| last.number);
            for kept in page {
                if let Some(proof) = kept.proofs.iter().find(|proof| proof.leaf.starts_with(&prefix)).cloned() {
                    return Ok((kept, proof));
                }
            }
            if is_last {
                let detail = match version {
                    version if version > data_set.version || version == 0 => {
                        format!("there is no version {version} of {name}: its present one is {}", data_set.version)
                    }
                    _ => format!(
                        "no checkpoint has version {version} of {name}: a version is in the first one that is made while it is held"
                    ),
                };
                return Err(Problem::new(ProblemCode::NotFound, detail));
            }
        }
    }
}
