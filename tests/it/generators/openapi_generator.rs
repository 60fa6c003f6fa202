//! openapi-generator, which needs Java: only with `tests/run --long`.

use anyhow::Result;
use passerelle_tests::process::command;
use std::path::PathBuf;

use super::{in_tests, python, run, save, start};

/// The forms of the document that it reads.
const FORMS: [(&str, &str); 2] = [
    ("3.0", "/openapi-3.0.json"),
    ("3.1", "/openapi.json?webhooks=false"),
];

/// Makes a client of this kind from a form of the document.
async fn generate(folder: PathBuf, document: PathBuf, kind: &str) -> Result<PathBuf> {
    let output = folder.join(kind);
    let mut generate = python("openapi-generator-cli")?;
    generate
        .args(["generate", "--generator-name", kind, "--input-spec"])
        .arg(document)
        .arg("--output")
        .arg(&output)
        .args(["--additional-properties", "packageName=passerelle_client"]);
    run(generate).await?;
    Ok(output)
}

/// An answer of a later version: its status is not in this document.
const LATER: &str = r#"
import passerelle_client
from passerelle_client import Message, MessageStatus
message = Message.from_dict({
    "id": "msg_01kaq6h3zve9qbw4r2t8n5c7xd", "object": "message", "session_id": "ses_01kaq6h3zve9qbw4r2t8n5c7xd",
    "direction": "outbound", "type": "hologram", "status": "archived", "wa_message_id": "3EB0", "created_at": "2026-11-22T08:00:00.000Z",
})
status = getattr(message.status, "actual_instance", message.status)  # from 3.1 it is in an object of its own
assert status == "archived", message
assert MessageStatus.READ == "read"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_of_openapi_generators_parses_what_a_later_version_answers() -> Result<()>
{
    let world = start().await?;
    for (form, path) in FORMS {
        let file = save(&world, path).await?;
        let client = generate(world.folder().join(form), file, "python").await?;
        let mut compile = python("python")?;
        compile
            .args(["-m", "compileall", "-q"])
            .arg(client.join("passerelle_client"));
        run(compile).await?;
        let mut parse = python("python")?;
        parse.args(["-c", LATER]).env("PYTHONPATH", &client);
        run(parse).await?;
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_of_openapi_generators_compiles() -> Result<()> {
    let world = start().await?;
    let packages = in_tests("generators/typescript/node_modules");
    for (form, path) in FORMS {
        let file = save(&world, path).await?;
        let client = generate(world.folder().join(form), file, "typescript-fetch").await?;
        let mut check = command(&packages.join(".bin/tsc"));
        check
            .args([
                "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext",
            ])
            .args(["--moduleResolution", "nodenext", "--skipLibCheck"])
            .arg(client.join("index.ts"))
            .current_dir(&client);
        run(check).await?;
    }
    world.finish().await?;
    Ok(())
}
