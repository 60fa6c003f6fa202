//! lanes: 10,000 lanes of 20 messages each, gaps of 1–5 s, without WhatsApp behind them.

use anyhow::Result;

use crate::{
    children::{figure, run},
    report::Row,
};

pub(crate) async fn measure() -> Result<Row> {
    let told = run("lanes", &[]).await?;
    Ok(Row {
        bench: "lanes".to_owned(),
        value: figure(&told, "/per_second")?,
        unit: "sends/s",
        reference: Some(3_333.0),
        goal: "≥ 3,000 sends/s, out_of_order 0, under_floor 0, idle_cpu ≤ 1 %, p50_ms ≤ 5",
        more: vec![
            ("out_of_order", figure(&told, "/out_of_order")?),
            ("under_floor", figure(&told, "/under_floor")?),
            ("idle_cpu", figure(&told, "/idle_cpu")?),
            ("p50_ms", figure(&told, "/p50_ms")?),
        ],
    })
}
