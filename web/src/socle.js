// Progressive enhancement of Socle's pages. Every page works without this file; with it:
//   #map                          an interactive map of the layer
//   [data-copy]                   buttons that copy a URL
//   form[data-territory-search]   suggestions while typing
// MapLibre is loaded only by pages that show a map.

const french = document.documentElement.lang.toLowerCase().startsWith("fr");
/** The French or the English wording, by the language of the page. */
const say = (fr, en) => (french ? fr : en);

document.documentElement.classList.add("js");

/** An element with attributes and children; text is always set as text, never as HTML. */
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// ------------------------------------------------------------------ copy

/** What a button copies: its data-copy, the element data-copy names (#id), or the code beside it. */
function textToCopy(button) {
  const wanted = button.dataset.copy;
  if (wanted?.startsWith("#")) return document.querySelector(wanted)?.textContent ?? "";
  if (wanted) return wanted;
  return button.parentElement.querySelector("code")?.textContent ?? "";
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on another machine than this one: browsers hide navigator.clipboard there.
  const area = element("textarea", { readonly: "", class: "visually-hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

function enhanceCopy(button) {
  const label = button.textContent;
  let timer;
  button.hidden = false;
  button.addEventListener("click", async () => {
    let said = say("Copié", "Copied");
    try {
      await copy(textToCopy(button).trim());
    } catch {
      said = say("Échec : sélectionnez le texte", "Failed: select the text");
    }
    button.textContent = said;
    announce(said);
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = label; }, 2000);
  });
}

let status;
/** Tells screen readers what changed without moving the focus. */
function announce(text) {
  if (!status) {
    status = element("p", { role: "status", class: "visually-hidden" });
    document.body.append(status);
  }
  status.textContent = text;
}

// ------------------------------------------------------------------ territory search

const LEVELS = {
  com: say("commune", "commune"),
  epci: say("intercommunalité", "intercommunality"),
  ept: say("établissement public territorial", "territorial public body"),
  arr: say("arrondissement", "arrondissement"),
  dep: say("département", "département"),
  reg: say("région", "région"),
  arm: say("arrondissement municipal", "municipal arrondissement"),
  comd: say("commune déléguée", "delegated commune"),
  coma: say("commune associée", "associated commune"),
  canton: say("canton", "canton"),
  qpv: say("quartier prioritaire", "priority neighbourhood"),
};

/** A territory of an answer of /territories, as a link; its département tells homonyms apart. */
function territoryLink({ level, code, name, href, parents = [] }, template) {
  const segment = [level, code].filter(Boolean).map(encodeURIComponent).join("-");
  const within = parents.find((parent) => parent.level === "dep") ?? parents[0];
  const detail = [LEVELS[level] ?? level, code, within?.name].filter(Boolean).join(" · ");
  return element("li", {},
    element("a", { href: template.includes("{id}") ? template.replace("{id}", segment) : href },
      element("strong", {}, name ?? segment), " ", element("small", {}, detail)));
}

function enhanceSearch(form) {
  const input = form.querySelector('input[name="q"]');
  if (!input) return;
  const list = element("ul", { class: "suggestions", hidden: "" });
  form.append(list);
  input.autocomplete = "off";
  let asked;
  let timer;

  const close = () => { list.hidden = true; };

  const suggest = async () => {
    asked?.abort();
    const text = input.value.trim();
    if (text.length < 2) return close();
    asked = new AbortController();
    const url = new URL(form.action, location.href);
    for (const [name, value] of new FormData(form)) url.searchParams.set(name, value);
    url.searchParams.set("q", text);
    url.searchParams.set("f", "json");
    try {
      const answer = await fetch(url, {
        signal: asked.signal,
        headers: { Accept: "application/json" },
      });
      if (!answer.ok) return close();
      const found = (await answer.json()).territories.slice(0, 10);
      // Where a choice leads, with {id} for the territory; its own page otherwise.
      const template = form.dataset.territorySearch;
      list.replaceChildren(...found.map((territory) => territoryLink(territory, template)));
      list.hidden = found.length === 0;
      announce(found.length === 0
        ? say("Aucun territoire trouvé", "No territory found")
        : say(`Territoires proposés : ${found.length}`, `Territories suggested: ${found.length}`));
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(suggest, 120);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      close();
      input.focus();
      return;
    }
    if (list.hidden || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const stops = [input, ...list.querySelectorAll("a")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    const at = stops.indexOf(document.activeElement);
    stops[(at + step + stops.length) % stops.length].focus();
    event.preventDefault();
  });
  form.addEventListener("focusout", (event) => {
    if (!form.contains(event.relatedTarget)) close();
  });
}

// ------------------------------------------------------------------ map

const MAP_WORDS = {
  "AttributionControl.ToggleAttribution": "Afficher les mentions",
  "FullscreenControl.Enter": "Plein écran",
  "FullscreenControl.Exit": "Quitter le plein écran",
  "Map.Title": "Carte",
  "NavigationControl.ResetBearing": "Remettre le nord en haut",
  "NavigationControl.ZoomIn": "Zoomer",
  "NavigationControl.ZoomOut": "Dézoomer",
  "Popup.Close": "Fermer",
  "CooperativeGesturesHandler.WindowsHelpText": "Ctrl + molette pour zoomer",
  "CooperativeGesturesHandler.MacHelpText": "⌘ + molette pour zoomer",
  "CooperativeGesturesHandler.MobileHelpText": "Deux doigts pour déplacer la carte",
};

/** `west,south,east,north` as MapLibre bounds, or nothing when it is not that. */
function boundsOf(text) {
  const numbers = (text ?? "").split(/[\s,]+/).filter(Boolean).map(Number);
  if (numbers.length !== 4 || !numbers.every(Number.isFinite)) return undefined;
  return [numbers.slice(0, 2), numbers.slice(2)];
}

/** A property as people read it: web addresses and e-mail addresses become links. */
function shown(value) {
  if (typeof value === "string") {
    if (/^https?:\/\/\S+$/i.test(value)) return element("a", { href: value, rel: "nofollow noopener" }, value);
    if (/^[^\s@:]+@[^\s@]+\.[^\s@]+$/.test(value)) return element("a", { href: `mailto:${value}` }, value);
    return value;
  }
  if (typeof value === "number") {
    // 12 345 but 2024: four digits may be a year.
    return value.toLocaleString(document.documentElement.lang, {
      useGrouping: "min2",
      maximumFractionDigits: 12,
    });
  }
  if (typeof value === "boolean") return value ? say("oui", "yes") : say("non", "no");
  return String(value);
}

/** The content of a popup: the properties as a table, and a link to the feature's own page. */
function featureTable(feature, options) {
  const { key, label, items } = options;
  const properties = Object.entries(feature.properties).filter(([name]) => !name.startsWith("_"));
  const id = feature.properties[key];
  const title = feature.properties[label] ?? id ?? say("Objet", "Feature");
  const rows = properties.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, shown(value))));
  const content = element("div", { class: "feature" },
    element("table", {}, element("caption", {}, String(title)), element("tbody", {}, ...rows)));
  if (items && id !== undefined) {
    content.append(element("p", {},
      element("a", { href: `${items.replace(/\/$/, "")}/${encodeURIComponent(id)}` },
        say("Voir la fiche", "See the record"))));
  }
  return content;
}

/** The style of a map of one territory. */
function outlineStyle(data) {
  return {
    version: 8,
    sources: { territory: { type: "geojson", data } },
    layers: [
      { id: "fill", type: "fill", source: "territory", paint: { "fill-color": "#3b6fb6", "fill-opacity": 0.25 } },
      { id: "border", type: "line", source: "territory", paint: { "line-color": "#1f4e8c", "line-width": 2 } },
    ],
  };
}

async function enhanceMap(container) {
  const maplibre = await import("./maplibre-gl.mjs");
  maplibre.setWorkerUrl(new URL("./maplibre-gl-worker.mjs", import.meta.url).href);
  const { style, geojson, title, bounds, layer, key, label, items } = container.dataset;
  container.replaceChildren();
  const map = new maplibre.Map({
    container,
    style: style ?? outlineStyle(geojson),
    bounds: boundsOf(bounds),
    fitBoundsOptions: { padding: 24 },
    hash: "carte",
    locale: french ? MAP_WORDS : undefined,
    dragRotate: false,
    pitchWithRotate: false,
    cooperativeGestures: true,
    attributionControl: { compact: false },
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.FullscreenControl(), "top-right");
  map.addControl(new maplibre.ScaleControl(), "bottom-left");
  container.classList.add("ready");
  if (style) return enhanceIdentify(maplibre, map, { layer, key, label, items });
  map.getCanvas().setAttribute("aria-label", `${say("Carte", "Map")} : ${title}`);
}

/** Clicking a feature, or pressing Enter with the map focused, shows its properties. */
function enhanceIdentify(maplibre, map, options) {
  const popup = new maplibre.Popup({ maxWidth: "24rem", focusAfterOpen: true });
  // A few pixels of tolerance: points and lines are thin targets.
  const featureAt = ({ x, y }, reach = 4) => map
    .queryRenderedFeatures([[x - reach, y - reach], [x + reach, y + reach]])
    .find((feature) => !options.layer || feature.sourceLayer === options.layer);

  const identify = (point, lngLat, reach) => {
    const feature = featureAt(point, reach);
    if (!feature) return popup.remove();
    popup.setLngLat(lngLat).setDOMContent(featureTable(feature, options)).addTo(map);
  };
  map.on("click", (event) => identify(event.point, event.lngLat));
  map.on("mousemove", (event) => {
    map.getCanvas().style.cursor = featureAt(event.point) ? "pointer" : "";
  });

  const canvas = map.getCanvas();
  canvas.setAttribute("aria-label", say(
    "Carte. Flèches pour se déplacer, + et - pour zoomer, Entrée pour lire l'objet au centre.",
    "Map. Arrows to move, + and - to zoom, Enter to read the feature at the centre.",
  ));
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const centre = map.getCenter();
    identify(map.project(centre), centre, 16);
  });
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !popup.isOpen()) return;
    popup.remove();
    canvas.focus();
  });
}

// ------------------------------------------------------------------ start

document.querySelectorAll("[data-copy]").forEach(enhanceCopy);
document.querySelectorAll("form[data-territory-search]").forEach(enhanceSearch);

const container = document.querySelector("#map[data-style], #map[data-geojson]");
if (container) {
  enhanceMap(container).catch((error) => {
    console.error(error);
    container.classList.add("failed");
    container.replaceChildren(element("p", { class: "notice" }, say(
      "La carte n'a pas pu être affichée ; les données et leurs adresses restent disponibles ci-dessous.",
      "The map could not be shown; the data and their addresses remain available below.",
    )));
  });
}
