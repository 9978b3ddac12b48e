/** How far a long command has come, on stderr: a bar that is redrawn on a terminal, a line now and then elsewhere. */

const BAR_CELLS = 30
const REDRAW_MS = 100
const LINE_MS = 5_000

/** Where progress is written; `process.stderr` is one. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** Returns the function to be called with each step. The last one is always shown. */
export function progress(
  label: string,
  output: ProgressOutput = process.stderr,
  now: () => number = Date.now,
): (done: number, total: number) => void {
  const startMs = now()
  let shownMs = startMs
  return (done, total) => {
    const nowMs = now()
    const last = done === total
    if (!last && nowMs - shownMs < (output.isTTY ? REDRAW_MS : LINE_MS)) return
    shownMs = nowMs
    const text = `${label} ${done}/${total}, ${((nowMs - startMs) / 1000).toFixed(1)} s`
    output.write(output.isTTY ? `\r${bar(done / total)} ${text}${last ? '\n' : ''}` : `${text}\n`)
  }
}

function bar(share: number): string {
  const full = Math.round(share * BAR_CELLS)
  return `[${'#'.repeat(full)}${'-'.repeat(BAR_CELLS - full)}]`
}
