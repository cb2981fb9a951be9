// Makes the table of the Code officiel géographique that is compiled into the program.
//
//   node src/territory/cog/generate.mjs 2026 2025 2024 2023 2022 2021 2020 2019
//
// takes folders of unpacked versions of the package, the newest first (README.md says which), and
// writes cog.bin beside this file (`--print` writes the plain text to standard output instead, for
// a diff between two vintages). No dependency. The same packages give the same text.
//
// The script checks what it reads and stops at anything it does not understand: a territory that
// is not listed, a code given twice, a name with a tab. One disagreement is known and settled: a
// code's own parent (COMPARENT) and the `anciensCodes` of another commune. The parent wins, the
// script says so on standard error, and the table keeps the list.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import { dissolved, movements, SHARED } from './moves.mjs'

const VINTAGE_OF_MAJOR = { 6: 2026 }
const ZONES = ['metro', 'drom', 'com']
const EPCI_KINDS = ['CC', 'CA', 'CU', 'METRO', 'MET69']

const print = process.argv.includes('--print')
const dirs = process.argv.slice(2).filter(arg => arg !== '--print')
const [dir] = dirs
if (dirs.length < 2) {
  console.error('usage: node generate.mjs <newest unpacked package> <older ones>... [--print]')
  process.exit(2)
}

const read = name => JSON.parse(readFileSync(join(dir, name), 'utf8'))
const fail = message => {
  throw new Error(message)
}
// Plain comparison of code units: independent of the machine's locale.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
const byCode = (a, b) => compare(a.code, b.code)

function index(rows, what) {
  const map = new Map()
  for (const row of rows) {
    if (map.has(row.code)) fail(`${what} ${row.code} is listed twice`)
    map.set(row.code, row)
  }
  return map
}

const source = read('package.json')
const vintage = VINTAGE_OF_MAJOR[source.version.split('.')[0]] ?? fail(`no vintage known for ${source.version}`)
const rows = read('data/communes.json')
const ofType = type => rows.filter(row => row.type === type)

const reg = index(read('data/regions.json'), 'reg')
const dep = index(read('data/departements.json'), 'dep')
const arr = index(read('data/arrondissements.json'), 'arr')
const epci = index(read('data/epci.json'), 'epci')
const ept = index(read('data/ept.json'), 'ept')
const com = index(ofType('commune-actuelle'), 'com')
const arm = index(ofType('arrondissement-municipal'), 'arm')
const comd = index(ofType('commune-deleguee'), 'comd')
const coma = index(ofType('commune-associee'), 'coma')
const known = com.size + arm.size + comd.size + coma.size
if (known !== rows.length) fail(`${rows.length - known} rows of communes.json are of an unknown type`)

// Where each commune belongs.
for (const [map, key] of [[epci, 'epci'], [ept, 'ept']]) {
  for (const group of map.values()) {
    for (const { code } of group.membres) {
      const commune = com.get(code) ?? fail(`${key} ${group.code}: member ${code} is no commune`)
      if (commune[key]) fail(`commune ${code} is in ${key} ${commune[key]} and ${group.code}`)
      commune[key] = group.code
    }
  }
}
for (const commune of com.values()) {
  const home = dep.get(commune.departement) ?? fail(`com ${commune.code}: unknown département`)
  if (home.region !== commune.region) fail(`com ${commune.code}: its département is in another région`)
  // Mayotte's communes name an arrondissement "976" that does not exist.
  if (!arr.has(commune.arrondissement)) commune.arrondissement = undefined
  if (commune.arrondissement && arr.get(commune.arrondissement).departement !== home.code) {
    fail(`com ${commune.code}: its arrondissement is in another département`)
  }
}

// Old codes: what communes list, then what the code itself says, which wins.
const old = new Map()
for (const commune of com.values()) {
  for (const code of commune.anciensCodes ?? []) {
    if (old.has(code)) fail(`old code ${code} is claimed by ${old.get(code)} and ${commune.code}`)
    old.set(code, commune.code)
  }
}
const settled = []
for (const { code, chefLieu } of [...comd.values(), ...coma.values()].sort(byCode)) {
  if (com.has(code)) continue
  const claimed = old.get(code)
  if (claimed !== undefined && claimed !== chefLieu) settled.push({ code, claimed, parent: chefLieu })
  old.set(code, chefLieu)
}
function today(code) {
  const seen = new Set()
  while (!com.has(code)) {
    if (seen.has(code)) fail(`old codes go round in a circle at ${code}`)
    seen.add(code)
    code = old.get(code) ?? fail(`old code leads to ${code}, which is no commune`)
  }
  return code
}
for (const s of settled) {
  console.error(`${s.code}: listed by ${s.claimed} as an old code, but its parent is ${s.parent}: the parent wins`)
}

// Communes in hierarchical order: a zone, a région and a département are each one run, and an
// EPCI is one run in each of its départements.
const LAST = '~'
const place = c => [
  ZONES.indexOf(c.zone), c.region, c.departement, c.epci ?? LAST, c.ept ?? LAST, c.arrondissement ?? LAST, c.code
]
const communes = [...com.values()].map(c => ({ c, place: place(c) })).sort((a, b) => {
  for (let i = 0; i < a.place.length; i++) {
    const order = compare(a.place[i], b.place[i])
    if (order) return order
  }
  return 0
}).map(({ c }) => c)

const out = []
const line = (...fields) => {
  const texts = fields.map(field => String(field ?? '').normalize('NFC'))
  for (const text of texts) if (/[\t\n\r]/.test(text)) fail(`a tab or line end in ${JSON.stringify(text)}`)
  out.push(texts.join('\t'))
}
const section = (name, items, fields) => {
  line(`@${name}`, items.length)
  for (const item of items) line(...fields(item))
}
const sorted = map => [...map.values()].sort(byCode)
const oneOf = (list, value) => (list.includes(value) ? value : fail(`unexpected value ${value}`))
const postal = row => (row.codesPostaux ?? []).map(p => (/^\d{5}$/.test(p) ? p : fail(`postal code ${p}`))).sort().join(' ')

line('socle-cog', 2, vintage, `${source.name}@${source.version}`)
section('reg', sorted(reg), r => [r.code, r.nom, oneOf(ZONES, r.zone)])
section('dep', sorted(dep), d => [d.code, d.nom, d.region])
section('arr', sorted(arr), a => [a.code, a.nom, a.departement])
section('epci', sorted(epci), e => [e.code, e.nom, oneOf(EPCI_KINDS, e.type)])
section('ept', sorted(ept), e => [e.code, e.nom])
section('com', communes, c => [c.code, c.nom, c.population, c.departement, c.arrondissement, c.epci, c.ept, postal(c)])
section('arm', sorted(arm), a => [a.code, a.nom, a.population, a.commune, postal(a)])
section('comd', sorted(comd), c => [c.code, c.nom, today(c.chefLieu)])
section('coma', sorted(coma), c => [c.code, c.nom, today(c.chefLieu)])
// A code that was shared out has several communes of today; any other has one.
const now = code => (SHARED[code] ? SHARED[code].slice(1).map(today).sort().join(' ') : today(code))
const history = movements(dirs, code => (old.has(code) ? today(code) : code))
for (const [, , from] of history.moves) if (from && !com.has(from) && !old.has(from)) fail(`${from} leads nowhere`)
section('old', [...old.keys()].sort(), code => [code, now(code), history.names.get(code)])
section('settled', settled, s => [s.code, s.claimed, s.parent])
section('moves', history.moves, move => move)
section('gone', dissolved(dirs), e => [e.code, e.nom, e.year, e.members.join(' ')])

const text = out.join('\n') + '\n'
if (print) {
  process.stdout.write(text)
} else {
  const target = join(dirname(fileURLToPath(import.meta.url)), 'cog.bin')
  const bytes = deflateRawSync(Buffer.from(text, 'utf8'), { level: 9 })
  writeFileSync(target, bytes)
  console.error(`${out.length} lines, ${Buffer.byteLength(text)} bytes, ${bytes.length} compressed`)
}
