//! `/imports/{id}/rejects`: the rows that could not be records, as CSV.

use std::{
    fs::File,
    io::{self, Read},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;
use futures_util::stream;

use super::found::import_id;
use crate::{
    http::{
        Problem, ProblemCode,
        routes::{answer::Answer, params::Params, refusal::import_problem},
        session::{Admin, OfData},
        state::Service,
    },
    private,
};

/// Bytes that are read and sent at once.
const PIECE_BYTES: u64 = 64 * 1024;

pub(in crate::http) async fn show(
    _: Admin<OfData>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    Params::read(request.query_string(), &[])?;
    let import = import_id(&id)?;
    let path = service.imports.rejects(import).await.map_err(import_problem)?.ok_or_else(|| {
        let detail = "no rejected rows of this import are kept on this server: none were rejected, they were kept for long enough, or \
                      another server has them";
        Problem::new(ProblemCode::NotFound, detail)
    })?;
    let opened = web::block(move || private::open_to_read(&path)).await.map_err(Problem::internal)?;
    let rows = stream::try_unfold(opened.map_err(Problem::internal)?, |file| async move {
        let read = web::block(move || next(file)).await.map_err(io::Error::other)??;
        Ok::<_, io::Error>((!read.0.is_empty()).then_some(read))
    });
    let name = format!("attachment; filename=\"{import}-rejects.csv\"");
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .content_type("text/csv; charset=utf-8")
        .streaming(rows))
}

fn next(mut file: File) -> io::Result<(Bytes, File)> {
    let mut piece = Vec::new();
    Read::by_ref(&mut file).take(PIECE_BYTES).read_to_end(&mut piece)?;
    Ok((piece.into(), file))
}
