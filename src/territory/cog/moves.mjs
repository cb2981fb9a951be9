// Makes the movements of communes from the yearly versions of the package, for generate.mjs.
//
// Version 0.8.0 carries `historique-communes.json`: the communes, and the parts of communes, from
// 1943 to 2019-01-01, each with its dates, what it became and the commune it belonged to. Later
// movements are read from the difference between the communes of one year and those of the next,
// and bear the date of the first of January (DATED: four that the decrees date otherwise). A movement is a line: date, kind (INSEE's MOD), the
// commune before, the commune after. Only changes of communes are kept: not names, not parts. A
// commune that takes or gives and goes on is told by a movement to itself, so that the communes
// before a day's movements are those that stand on the left, and after it those on the right.
//
// Two things the package does not say. Where the six communes that were shared out went: the
// decrees do, and SHARED repeats them. And what the communes created between 1945 and 2007 were
// made from: such a movement has no commune before.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const YEAR_OF_VERSION = {
  '0.3.0': 2019, '0.8.0': 2020, '1.1.1': 2021, '2.3.1': 2022, '3.1.1': 2023, '4.1.0': 2024, '5.3.0': 2025, '6.0.0': 2026
}
export const SHARED = {
  '08227': ['1968-03-02', '08203', '08454'],
  45117: ['1965-01-01', '45093', '45313'],
  51385: ['1950-06-17', '51440', '51487', '51503'],
  51606: ['1966-12-12', '51235', '51313', '51369'],
  60606: ['1951-07-09', '60509', '60587'],
  77362: ['1949-07-08', '77066', '77444']
}
// The package has no list of the communes of 2020: these moved in the course of 2019.
const DATED = { 21213: '2019-02-28', 21507: '2019-02-28', 45287: '2019-03-01', 14666: '2019-12-31' }
const KIND = {
  'changement de département': '41',
  'fusion simple': '31',
  'fusion-association': '33',
  'fusion totale': '34',
  'changement de chef lieu': '50'
}
const LAST_OF_HISTORY = '2019-01-01'

const read = (dir, name) => JSON.parse(readFileSync(join(dir, name), 'utf8'))
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
const overseas = code => /^9(75|77|78|8)/.test(code)

/** The movements, as lines sorted by date; and the names of communes that are none today. */
export function movements(dirs, today) {
  const years = dirs.map(dir => {
    const version = read(dir, 'package.json').version
    const year = YEAR_OF_VERSION[version]
    if (!year) throw new Error(`${dir}: no vintage known for version ${version}`)
    return { dir, version, year, rows: read(dir, 'data/communes.json') }
  }).sort((a, b) => a.year - b.year)
  const first = years.find(y => y.version === '0.8.0')
  if (!first) throw new Error('version 0.8.0, which holds the history, is missing')
  const names = new Map()
  const moves = new Moves()
  fromHistory(read(first.dir, 'data/historique-communes.json'), moves, names)
  for (const [from, [date, ...to]] of Object.entries(SHARED)) {
    for (const code of to) moves.add(date, '30', from, code).add(date, '30', code, code)
  }
  const communes = rows => new Map(rows.filter(r => r.type === 'commune-actuelle').map(r => [r.code, r]))
  for (const year of years) {
    for (const row of communes(year.rows).values()) names.set(row.code, row.nom)
  }
  years.forEach((year, i) => {
    const next = years[i + 1]
    if (!next) return
    if (next.year !== year.year + 1) throw new Error(`the version of ${year.year + 1} is missing`)
    fromYears(communes(year.rows), communes(next.rows), year.rows, next.rows, `${next.year}-01-01`, moves, today)
  })
  return { moves: moves.lines(), names }
}

class Moves {
  all = new Map()
  add(date, kind, from, to) {
    this.all.set([date, kind, from, to].join('\t'), [date, kind, from, to])
    return this
  }
  lines() {
    return [...this.all.values()].sort((a, b) => compare(a.join('\t'), b.join('\t')))
  }
}

function fromHistory(entries, moves, names) {
  const byId = new Map(entries.map(e => [e.id, e]))
  // The commune an entry is, or belongs to.
  const commune = entry => {
    for (let hops = 0; entry && entry.type !== 'COM' && hops < 6; hops++) entry = byId.get(entry.pole)
    return entry
  }
  const ended = entries.filter(e => e.type !== 'COM' && e.dateFin)
  const communes = entries.filter(e => e.type === 'COM')
  const starts = new Set(communes.map(e => `${e.code}@${e.dateDebut}`))
  const ends = new Set(communes.map(e => `${e.code}@${e.dateFin}`))
  for (const e of communes) {
    names.set(e.code, e.nom)
    if (!e.dateFin) continue
    const after = commune(byId.get(e.successeur))
    if (after && after.code !== e.code) {
      const kind = KIND[e.raisonFin] ?? '32'
      moves.add(e.dateFin, kind, e.code, after.code)
      // The commune it joins was there the day before.
      if (ends.has(`${after.code}@${e.dateFin}`) || !starts.has(`${after.code}@${e.dateFin}`)) {
        moves.add(e.dateFin, kind, after.code, after.code)
      }
    }
  }
  const targets = new Set(moves.lines().map(([date, , , to]) => `${to}@${date}`))
  for (const e of communes) {
    const date = e.dateDebut
    if (!date || ends.has(`${e.code}@${date}`) || targets.has(`${e.code}@${date}`)) continue
    // A commune that begins: again, out of the one it had joined, or for the first time.
    const before = byId.get(e.predecesseur) ?? ended.find(p => p.code === e.code && p.dateFin === date)
    const source = before && commune(before)
    if (!source || source.code === e.code) {
      moves.add(date, '20', '', e.code)
      continue
    }
    moves.add(date, '21', source.code, e.code)
    const goesOn = !source.dateFin || source.dateFin > date || starts.has(`${source.code}@${date}`)
    if (goesOn) moves.add(date, '21', source.code, source.code)
  }
}

function fromYears(before, after, rowsBefore, rowsAfter, first, moves, today) {
  const parent = rows => new Map(rows.filter(r => r.chefLieu).map(r => [r.code, r.chefLieu]))
  const [parentBefore, parentAfter] = [parent(rowsBefore), parent(rowsAfter)]
  const heir = new Map([...after.values()].flatMap(r => (r.anciensCodes ?? []).map(code => [code, r.code])))
  const reached = new Set()
  for (const code of before.keys()) {
    if (after.has(code) || overseas(code)) continue
    const to = [parentAfter.get(code), heir.get(code), today(code)].find(candidate => after.has(candidate))
    const date = DATED[code] ?? first
    if (!to) throw new Error(`${date}: nothing says what ${code} became`)
    moves.add(date, before.has(to) ? '32' : '41', code, to)
    if (before.has(to)) moves.add(date, '32', to, to)
    reached.add(to)
  }
  for (const code of after.keys()) {
    if (before.has(code) || overseas(code) || reached.has(code)) continue
    const source = parentBefore.get(code)
    const date = DATED[code] ?? first
    if (!source) {
      moves.add(date, '20', '', code)
      continue
    }
    moves.add(date, '21', source, code)
    if (after.has(source)) moves.add(date, '21', source, source)
  }
}

/** EPCI that no longer exist: code, name, last year, members then. */
export function dissolved(dirs) {
  const gone = new Map()
  const years = dirs.map(dir => ({ year: YEAR_OF_VERSION[read(dir, 'package.json').version], epci: read(dir, 'data/epci.json') }))
  years.sort((a, b) => a.year - b.year)
  const last = new Set(years.at(-1).epci.map(e => e.code))
  for (const { year, epci } of years) {
    for (const e of epci) if (!last.has(e.code)) gone.set(e.code, { code: e.code, nom: e.nom, year, members: e.membres.map(m => m.code).sort() })
  }
  return [...gone.values()].sort((a, b) => compare(a.code, b.code))
}
