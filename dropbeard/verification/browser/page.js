// The page around the verifier: files in, a verdict in words out.
(() => {
  "use strict";

  const FILE_BYTES_MAX = 64 << 20;
  const SHOWN_MAX = 8;
  const places = ["certificate", "genesis", "input", "successions"];
  const chosen = {certificate: null, genesis: null, input: null, successions: null};
  const result = document.getElementById("result");
  let turn = 0;

  function element(name, content, attributes = {}) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...[content].flat());
    return made;
  }

  const code = (text) => element("code", text);

  function show(verdict, step, ...content) {
    result.dataset.verdict = verdict;
    result.dataset.step = step ?? "";
    result.replaceChildren(...content);
  }

  const bytesOf = async (file) => (file ? new Uint8Array(await file.arrayBuffer()) : null);

  class NotAnInput extends Error {}

  /** An image file's bytes, or the array that a NumPy file holds. */
  function inputOf(name, data) {
    if (!data || !name.endsWith(".npy")) return data;
    const view = new DataView(data.buffer);
    const wide = data[6] > 1, begin = wide ? 12 : 10;
    if (data.length < begin || view.getUint32(0) !== 0x934e554d) throw new NotAnInput("it is no NumPy file");
    const end = begin + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
    const head = new TextDecoder("latin1").decode(data.subarray(begin, end));
    const shape = /'shape': \((\d+), (\d+), 3\)/.exec(head);
    if (!shape || !/'descr': '\|u1'/.test(head) || !/'fortran_order': False/.test(head)) {
      throw new NotAnInput("an array is uint8 of shape (height, width, 3), in row-major order");
    }
    return {shape: [Number(shape[1]), Number(shape[2]), 3], data: data.subarray(end)};
  }

  async function check() {
    const mine = ++turn;
    const {certificate, genesis} = chosen;
    if (!certificate || !genesis) {
      const missing = certificate ? "the genesis of its group" : "a certificate";
      show("none", null, element("p", `Nothing is checked yet: choose ${missing}.`, {class: "notice"}));
      return;
    }
    show("none", null, element("p", "Checking…", {class: "notice"}));
    const said = await verdictOf();
    // A file that was chosen meanwhile has its own turn.
    if (mine === turn) explain(said);
  }

  async function verdictOf() {
    try {
      const tooLarge = places.find((place) => chosen[place]?.size > FILE_BYTES_MAX);
      if (tooLarge) return {verdict: "unreadable", reason: `the ${tooLarge} is too large`};
      const files = places.map((place) => bytesOf(chosen[place]));
      const [certificate, genesis, input, successions] = await Promise.all(files);
      if (startsWith(certificate, "DBEVID")) {
        return {verdict: "unreadable", reason: "it is evidence, which the command judges: dropbeard verify FILE"};
      }
      const given = {input: inputOf(chosen.input?.name ?? "", input), successions};
      return await DropbeardVerifier.verify(certificate, genesis, given);
    } catch (wrong) {
      const reason = wrong instanceof NotAnInput ? `the input: ${wrong.message}` : String(wrong.message ?? wrong);
      return {verdict: "unreadable", reason};
    }
  }

  function explain(said) {
    if (said.verdict === "invalid") {
      const step = `Check ${said.step} of ${DropbeardVerifier.STEPS.length}, `;
      const words = element("p", [step, element("strong", said.stepName), `, failed: ${said.reason}.`]);
      show("invalid", said.step, element("h2", "✗ Invalid"), words);
    } else if (said.verdict === "unreadable") {
      const words = element("p", `${said.reason}.`);
      const meaning = element("p", "A file that cannot be read says nothing about anybody.", {class: "notice"});
      show("unreadable", null, element("h2", "? Unreadable"), words, meaning);
    } else {
      const parts = [element("h2", "✓ Valid"), element("p", answerOf(said), {class: "answer"}), factsOf(said)];
      show("valid", null, ...parts, ...(said.kind === "agreed" ? [ownersOf(said)] : []));
    }
  }

  function answerOf({kind, decision, task, answers}) {
    if (kind === "expired") return "The group agreed that the request expired: too few owners answered in time.";
    if (decision === null) {
      const counted = `${answers.length} owners' answers of the kind ${task.kind} are certified. `;
      return `${counted}What they come to together, the command says: dropbeard verify.`;
    }
    const {label, shownLabel, margin, assurance} = decision;
    const grade = `margin ${margin}, assurance ${assurance}`;
    if (label === null) return `Undecided; ${shownLabel} leads (${grade})`;
    return ["Agreed: ", element("strong", label), ` (${grade})`];
  }

  function factsOf(said) {
    const {group} = said;
    const time = said.time ? said.time.replace("T", " ").replace("Z", " UTC") : `${said.timeUs} µs after 1970`;
    const rows = [
      ["Group", [`${group.name}, ${group.n} owners of whom f = ${group.f} may lie, `, code(group.id)]],
      ["Task", `${said.task.name}, ${said.task.kind}`],
      ["Epoch and height", `epoch ${said.epoch}, height ${said.height}`],
      ["Time", `${time}, by the owners' clocks`],
      ["Request", code(said.request)],
      ["Client", code(said.client)],
      ["Input", said.inputCompared ? "the one that was asked about" : "not compared: none was chosen"],
      ["Input's digest", code(said.inputDigest)],
      ["Signed by", `owners ${said.signers.join(", ")}`],
      ["Answers", `${said.answers.length} of ${group.n}`],
      ...(said.missing.length ? [["No answer here of", said.missing.join(", ")]] : []),
    ];
    return element("dl", rows.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
  }

  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  /** The first few of what may be many. */
  function few(rows, none) {
    const more = rows.length - SHOWN_MAX;
    return [rows.slice(0, SHOWN_MAX).join(", ") || none, ...(more > 0 ? [`and ${more} more`] : [])].join(" ");
  }

  /** Cells of one answer, under ``answerColumns``. */
  function answerCells({choices, boxes, values}, {kind, labels, unit}) {
    if (choices) return [choices[0].label, percent(choices[0].probability)];
    if (boxes) {
      const place = ({x0, y0, x1, y1}) => `(${percent(x0)}, ${percent(y0)}) to (${percent(x1)}, ${percent(y1)})`;
      return [few(boxes.map((box) => `${box.label}, ${percent(box.score)}, from ${place(box)}`), "no objects")];
    }
    const numbers = values.map((value) => String(Number(value.toPrecision(6))) + (unit ? ` ${unit}` : ""));
    return [few(kind === "scores" ? numbers.map((number, at) => `${labels[at]} ${number}`) : numbers)];
  }

  const answerColumns = ({kind}) => (kind === "classification" ? ["Answer", "Probability"] : ["Answer"]);

  function ownersOf({answers, task}) {
    const cell = (value) => element("td", value);
    const columns = ["Owner", ...answerColumns(task), "Version", "Model"];
    const head = columns.map((text) => element("th", text, {scope: "col"}));
    const rows = answers.map(({name, version, model, modelName, ...said}) => element("tr", [
      element("th", name, {scope: "row"}),
      ...answerCells(said, task).map(cell),
      cell(String(version)),
      cell([...(modelName ? [`${modelName} `] : []), code(`${model.slice(0, 16)}…`)]),
    ]));
    const caption = element("caption", "What each owner answered; a model's name is a label and proves nothing");
    const table = element("table", [caption, element("thead", element("tr", head)), element("tbody", rows)]);
    return element("div", table, {class: "wide"});
  }

  const startsWith = (data, text) => Array.from(text).every((letter, at) => data[at] === letter.charCodeAt(0));

  /** Which of the four a dropped file is, by its first bytes and its name. */
  async function placeOf(file) {
    const data = new Uint8Array(await file.slice(0, 8).arrayBuffer());
    if (startsWith(data, "DBCERT") || startsWith(data, "DBEVID") || file.name.endsWith(".dbcert")) return "certificate";
    if (startsWith(data, "DBEPOC")) return "successions";
    return file.name.endsWith(".toml") ? "genesis" : "input";
  }

  for (const place of places) {
    document.getElementById(place).addEventListener("change", (event) => {
      chosen[place] = event.target.files[0] ?? null;
      check();
    });
  }
  document.getElementById("files").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    for (const file of [...event.dataTransfer.files]) {
      const place = await placeOf(file);
      chosen[place] = file;
      const shown = new DataTransfer();
      shown.items.add(file);
      document.getElementById(place).files = shown.files;
    }
    check();
  });
})();
