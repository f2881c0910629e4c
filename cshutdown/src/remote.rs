//! stub
pub(crate) fn log(
    _c: Option<&std::path::Path>,
    _a: std::net::IpAddr,
    _f: &std::path::Path,
    _t: &str,
) -> anyhow::Result<orderly_exec::Status> {
    Ok(orderly_exec::Status::Done)
}
