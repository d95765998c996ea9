// A certificate that is chosen or dropped here is checked in this browser, by verify.js, and goes nowhere. Where that
// cannot be, its form is sent instead, as without scripts.
"use strict";
(() => {
  const CERTIFICATE_BYTES_MAX = 1 << 20;
  const PROMISES = {
    "none": "too few for a promise about honest owners",
    "honest-plurality": "it leads among the honest owners, whoever lied",
    "robust": "no f owners could have changed it",
  };
  const form = document.querySelector("form.drop");
  const field = form.querySelector('input[type="file"]');
  const place = document.getElementById("report");
  let turn = 0;

  const load = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address} is not served`);
    return new Uint8Array(await answer.arrayBuffer());
  };

  const element = (name, attributes, ...content) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...content);
    return made;
  };
  const state = (kind, text) => element("span", { "class": "state", "data-state": kind }, text);

  const reportOf = (said) => {
    if (said.verdict === "unreadable") {
      return { state: "bad", headline: "Not a certificate", detail: `${said.reason}.`, facts: [], answers: [] };
    }
    if (!said.valid) {
      const detail = `It fails verification step ${said.step}, ${said.stepName}: ${said.reason}.`;
      return { state: "bad", headline: "Invalid", detail, facts: [], answers: [] };
    }
    const time = said.time === null ? `${said.timeUs} µs after 1970` : `${said.time.slice(0, 19).replace("T", " ")} UTC`;
    const facts = [
      ["Request", said.request],
      ["Agreed at", `height ${said.height}, ${time}`],
      ["Owners", `${said.answers.length} of ${said.group.n} opened their answers, f = ${said.group.f}`],
    ];
    if (said.kind === "expired") {
      const detail = "Too few owners answered by its deadline.";
      return { state: "good", headline: "Valid: the request expired", detail, facts, answers: [] };
    }
    const { label, classId, margin, assurance } = said.decision;
    facts.push(["Margin", String(margin)], ["Assurance", `${assurance}: ${PROMISES[assurance]}`]);
    const agreed = classId === null ? "The group is undecided" : "Agreed on by the group";
    const answers = said.answers.map((answer) => {
      const first = answer.choices[0];
      const stands = classId === null ? "" : first.classId === classId ? "agrees" : "dissents";
      return { ...answer, label: first.label, share: `${Math.round(100 * first.probability)}%`, stands };
    });
    const detail = `${agreed}. That is all that is claimed.`;
    return { state: "good", headline: `Valid: ${label ?? "undecided"}`, detail, facts, answers };
  };

  const tableOf = (answers) => {
    const head = [["Owner"], ["Model"], ["Version", "n"], ["Answer"], ["Probability", "n"], ["Stands"]];
    const heads = head.map(([text, kind]) => element("th", { scope: "col", "class": kind ?? "" }, text));
    const rows = answers.map((row) => element("tr", {},
      element("th", { scope: "row" }, row.name),
      element("td", {}, element("code", {}, row.model.slice(0, 12))),
      element("td", { "class": "n" }, String(row.version)),
      element("td", {}, row.label),
      element("td", { "class": "n" }, row.share),
      element("td", {}, row.stands ? state(row.stands === "agrees" ? "good" : "warn", row.stands) : ""),
    ));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
    return element("div", { "class": "wide" }, table);
  };

  const show = (report) => {
    const section = element("section", { "class": "report" },
      element("h2", {}, state(report.state, report.headline)), element("p", {}, report.detail));
    if (report.facts.length) {
      const rows = report.facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)));
      section.append(element("dl", { "class": "facts" }, ...rows));
    }
    if (report.answers.length) section.append(tableOf(report.answers));
    place.replaceChildren(section);
  };

  const check = async (file) => {
    const mine = ++turn;
    let said;
    try {
      // One byte too many is enough to be told that it is too large.
      const data = new Uint8Array(await file.slice(0, CERTIFICATE_BYTES_MAX + 1).arrayBuffer());
      // Not before it is needed: it is most of the page.
      const verifier = import(form.dataset.verifier);
      const [genesis, successions] = await Promise.all([load("/genesis.toml"), load("/successions"), verifier]);
      said = await DropbeardVerifier.verify(data, genesis, { successions: successions.length ? successions : null });
    } catch {
      form.submit();
      return;
    }
    if (mine === turn) show(reportOf(said));
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.files.length) check(field.files[0]);
  });
  field.addEventListener("change", () => {
    if (field.files.length) check(field.files[0]);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", () => form.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length !== 1) return;
    field.files = event.dataTransfer.files;
    check(field.files[0]);
  });
  document.querySelector('[data-note="drop"]').textContent =
    "Choose a file or drop it anywhere on this page: it is checked in this browser with the group's genesis, and goes nowhere.";
})();
