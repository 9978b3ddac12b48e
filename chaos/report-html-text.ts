/** HTML as text, escaped unless it was made here: a lane's name or an error's message can never become markup. */

/** Text that is HTML already. */
export interface Markup {
  readonly markup: string
}

type Piece = Markup | string | number | false | undefined | readonly Piece[]

/** A template whose values are escaped, lists joined, and `false` and `undefined` left out. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  return { markup: strings.reduce((text, part, i) => text + rendered(values[i - 1]) + part) }
}

/** Text of this project's own (style sheet, script) that stands in the page as it is. */
export function verbatim(markup: string): Markup {
  return { markup }
}

/** For text and for attribute values in quotes. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, character => entities[character] ?? '')
}

function rendered(value: Piece): string {
  if (value === undefined || value === false) return ''
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return escapeHtml(value)
  if ('markup' in value) return value.markup
  return value.map(rendered).join('')
}

/** `12 345`, with spaces that do not break. */
export function count(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, '\u202f')
}

/** `1 150 ms`, from 10 s on `12.3 s`, from 10 minutes on `12 min`. */
export function duration(ms: number): string {
  if (Math.abs(ms) < 10_000) return `${count(ms)}\u00a0ms`
  if (Math.abs(ms) < 600_000) return `${(ms / 1_000).toFixed(1)}\u00a0s`
  return `${(ms / 60_000).toFixed(1)}\u00a0min`
}

/** A time on the axis: `0`, `2.5 s`, `12:30`. */
export function clock(ms: number): string {
  const s = ms / 1_000
  if (Math.abs(s) < 600) return s === 0 ? '0' : `${Number(s.toFixed(1))}\u00a0s`
  const whole = Math.round(s)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

/** `84.2 MiB` */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)}\u00a0MiB`
}

/** `1 message`, `2 messages` */
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? '' : 's'}`
}
