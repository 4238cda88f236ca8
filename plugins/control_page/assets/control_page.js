// The page's one script: theme, times in the viewer's zone, dialogs, choosing rows, links out of Airflow's frame, and live updates.
// Every view works without it, read once; nothing here knows what a view shows.
"use strict";

(() => {
  const outer = (() => {
    try { return window.parent !== window && window.parent.document ? window.parent : null; } catch { return null; }
  })();

  // Airflow marks its choice on its own document; alone, the system's choice holds.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function showTheme() {
    const chosen = outer && outer.document.documentElement;
    const isDark = chosen ? chosen.classList.contains("dark") || chosen.dataset.theme === "dark" : dark.matches;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
  }
  showTheme();
  dark.addEventListener("change", showTheme);
  if (outer) new MutationObserver(showTheme).observe(outer.document.documentElement, { attributes: true });

  const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  function ago(date) {
    const seconds = (Date.now() - date) / 1000, size = Math.abs(seconds);
    const [length, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([least]) => size >= least) || [1, "s"];
    const words = `${Math.floor(size / length)} ${unit}`;
    return seconds >= 0 ? `${words} ago` : `in ${words}`;
  }
  function showTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      const words = { ago: () => ago(date), clock: () => clock.format(date), short: () => short.format(date) }[time.dataset.as]?.() ?? moments.format(date);
      if (time.textContent !== words) time.textContent = words;
      if (time.dataset.as !== "moment") time.title = moments.format(date);
    }
  }

  // One opening is one intention: what is sent twice from it starts one run, and the next opening starts another.
  let openings = 0;
  function ask(dialog) {
    openings += 1;
    dialog.querySelector("[name=token]").value = `${document.body.dataset.token}-${openings}`;
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-opens], [data-closes], a[data-outside]");
    if (!target) return;
    if (target.dataset.opens) ask(document.getElementById(target.dataset.opens));
    else if ("closes" in target.dataset) target.closest("dialog").close();
    else if (outer) {  // the frame may not leave itself, nor open a window of its own
      event.preventDefault();
      outer.open(target.href, "_blank", "noopener");
    }
  });
  document.addEventListener("submit", (event) => {
    // A second press while the first is under way is not meant.
    if (event.target.method === "post") for (const button of event.target.querySelectorAll("[type=submit]")) button.disabled = true;
  });
  document.addEventListener("change", (event) => {
    // What is typed is sent by Enter or by the button; only a choice says that it is finished.
    if (event.target.matches("form[data-at-once] select")) event.target.form.requestSubmit();
    const all = event.target.dataset.chooseAll;
    if (all) for (const box of boxes(all)) box.checked = event.target.checked;
    countChosen();
  });

  // Rows are chosen by boxes of one name. What is done to them stands in a dialog, which holds what was chosen when it opened.
  function boxes(name, chosen = "") {
    return [...document.querySelectorAll(`td input[type="checkbox"][name="${CSS.escape(name)}"]${chosen}`)];
  }
  function countChosen() {
    for (const button of document.querySelectorAll("[data-counts]")) {
      const count = boxes(button.dataset.counts, ":checked").length;
      button.disabled = count === 0;
      button.querySelector("[data-count]").textContent = count;
    }
    for (const list of document.querySelectorAll("dialog:not([open]) [data-chosen]")) {
      list.replaceChildren(...boxes(list.dataset.chosen, ":checked").map((box) => {
        const item = document.createElement("li");
        item.textContent = box.closest("tr").querySelector("th").textContent;
        item.append(Object.assign(document.createElement("input"), { type: "hidden", name: box.name, value: box.value }));
        return item;
      }));
    }
  }
  // What a person has chosen or opened stays so when its region is put in place anew.
  function keptOpen(root) {
    const checked = [...root.querySelectorAll("input[type=checkbox]:checked")].map((each) => each.id);
    const open = [...root.querySelectorAll("details[open]")].map((each) => each.id);
    return () => {
      for (const id of checked) { const box = document.getElementById(id); if (box) box.checked = true; }
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      countChosen();
    };
  }
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("[type=submit]:disabled")) button.disabled = false;
  });

  // Live: the page is fetched again, and those of its regions that say something new are put in place.
  const main = document.querySelector("main[data-live-seconds]");
  const notice = document.getElementById("live-notice");
  const announcer = document.getElementById("announcer");
  const shown = new Map();
  let failures = 0, isOver = false;

  // What a region says, without the words of its times: those are kept up to date here.
  const said = (region) => region.innerHTML.replace(/<time\b[^>]*?(datetime="[^"]*")[^>]*>[^<]*/g, "$1");
  function remember(root) {
    for (const region of root.querySelectorAll("[data-live]")) shown.set(region.id, said(region));
  }
  function append(region, fresh) {
    const atEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 24;
    for (const old of region.querySelectorAll(".empty")) if (fresh.querySelector(".line")) old.remove();
    for (const line of fresh.children) if (!document.getElementById(line.id)) region.append(document.importNode(line, true));
    if (atEnd) region.scrollTop = region.scrollHeight;
  }
  function toEndOfLog() {
    const log = document.getElementById("log");
    if (log) log.scrollTop = log.scrollHeight;
  }
  function announce(region, fresh) {
    const words = (root) => new Set([...root.querySelectorAll("[data-announce]"), ...(root.dataset.announce ? [root] : [])].map((each) => each.dataset.announce));
    const before = words(region);
    const news = [...words(fresh)].filter((each) => !before.has(each));
    if (news.length && before.size) announcer.textContent = news.slice(0, 3).join(". ");
  }
  // How an element is found again in what takes its region's place.
  function sameAs(element) {
    const [name, value] = [["id", element.id], ["data-opens", element.dataset.opens], ["href", element.getAttribute("href")]].find((each) => each[1]) ?? ["id", "-"];
    return `[${name}="${CSS.escape(value)}"]`;
  }
  function putWhole(fresh) {
    if (main.contains(document.activeElement)) main.focus();
    const asBefore = keptOpen(main);
    main.replaceChildren(...[...fresh.querySelector("main").childNodes].map((each) => document.importNode(each, true)));
    asBefore();
    document.title = fresh.title;
    remember(document);
    toEndOfLog();
  }
  function put(fresh) {
    const regions = [...fresh.querySelectorAll("[data-live]")];
    if (regions.some((each) => !document.getElementById(each.id)) && !document.querySelector("dialog[open]")) {
      // What was loading, or not there yet, has come: the page has other regions now.
      const [first] = fresh.querySelectorAll("[data-announce]");
      if (first) announcer.textContent = first.dataset.announce;
      putWhole(fresh);
    }
    for (const region of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(region.id);
      if (!next || shown.get(region.id) === said(next) || region.querySelector("dialog[open]")) continue;
      shown.set(region.id, said(next));
      if (region.dataset.live === "append") { append(region, next); continue; }
      announce(region, next);
      const focused = region.contains(document.activeElement) ? document.activeElement : null;
      const again = focused && sameAs(focused);
      const asBefore = keptOpen(region);
      region.replaceChildren(...[...next.childNodes].map((each) => document.importNode(each, true)));
      asBefore();
      if (next.dataset.announce) region.dataset.announce = next.dataset.announce;
      if (focused) (region.querySelector(again) ?? main).focus();
    }
    const seconds = fresh.querySelector("main").dataset.liveSeconds;
    if (seconds) main.dataset.liveSeconds = seconds;
    showTimes(document);
  }
  async function look() {
    if (document.hidden || !navigator.onLine) return;
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
      if (answer.status === 401) throw new Error("Your login has expired: reload the page to log in again.");
      if (!answer.ok && answer.status !== 404) throw new Error(`Airflow answers ${answer.status}; trying again.`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.status === 404) {  // what is not there does not come back under this address
        putWhole(fresh);
        isOver = true;
        return;
      }
      put(fresh);
      failures = 0;
      notice.hidden = true;
    } catch (error) {
      failures += 1;
      if (failures > 1 || error.message.startsWith("Your login")) {
        notice.textContent = error instanceof TypeError ? "Airflow does not answer; trying again." : error.message;
        notice.hidden = false;
      }
    }
  }
  async function goOn() {
    await look();
    if (isOver) return;
    const pause = Number(main.dataset.liveSeconds) * Math.min(8, 2 ** Math.max(0, failures - 1));
    setTimeout(goOn, pause * 1000);
  }

  showTimes(document);
  countChosen();
  setInterval(() => showTimes(document), 5000);
  toEndOfLog();
  if (main) {
    remember(document);
    setTimeout(goOn, Number(main.dataset.liveSeconds) * 1000);
  }
})();
