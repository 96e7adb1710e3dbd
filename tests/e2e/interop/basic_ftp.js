// The agenda of the table with basic-ftp.
const fs = require("node:fs");
const { Client } = require("basic-ftp");

const [host, port, ca, user, password, prefix] = process.argv.slice(2);

async function main() {
    const client = new Client(20000);
    await client.access({
        host, port: Number(port), user, password, secure: true, secureOptions: { ca: fs.readFileSync(ca) },
    });
    await client.downloadTo("big", "big");
    await client.uploadFrom("up", "up");
    const names = (await client.list("many")).map((entry) => entry.name);
    fs.writeFileSync("listing", names.join("\n") + "\n");
    for (const name of names) await client.downloadTo(`got/${name}`, `many/${name}`);
    await client.downloadTo("rest", "rest", Number(prefix));
    await client.appendFrom("more", "more", { localStart: Number(prefix) });
    await client.rename("old", "new");
    await client.remove("doomed");
    client.close();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
