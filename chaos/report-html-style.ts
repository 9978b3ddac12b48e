/**
 * The page's style sheet. Text on every ground has a contrast of at least 4.5 to 1, lines of charts 3 to 1, in both colour
 * schemes (WCAG 2.2, 1.4.3 and 1.4.11; report-html.test.ts computes them); no meaning stands in a colour alone.
 */

/** Colours by name: light, dark. */
export const COLOURS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  ground: ['#ffffff', '#14171c'],
  raised: ['#f5f6f8', '#1c2027'],
  rule: ['#d9dde3', '#343b46'],
  text: ['#1a1f27', '#e4e8ee'],
  quiet: ['#586273', '#9ba6b5'],
  link: ['#0b57a4', '#7fb6f5'],
  good: ['#176b3a', '#6fce95'],
  bad: ['#b01e28', '#ff8b8b'],
  open: ['#8a5300', '#f0b458'],
  sent: ['#6b7482', '#8f9aab'],
  confirm: ['#1f6fc4', '#62a8f0'],
  handle: ['#b4560b', '#f09a4a'],
  fault: ['#b01e28', '#ff8b8b'],
  ready: ['#7fae8d', '#4d7f5d'],
  connecting: ['#d97706', '#f0a33a'],
  partly: ['#b08900', '#e2c04a'],
  blocked: ['#7c3aed', '#b18cf7'],
  refused: ['#b01e28', '#ff6b6b'],
  idle: ['#8b95a5', '#6b7686'],
  lineC: ['#0f7b6c', '#4fc9b4'],
  lineD: ['#8b3fa8', '#cf8fe6'],
}

function variables(scheme: 0 | 1): string {
  return Object.entries(COLOURS)
    .map(([name, colours]) => `--${name}:${colours[scheme]}`)
    .join(';')
}

const PAGE = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
header,main{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:32px}
main{padding-bottom:64px}
.product{margin:0;color:var(--quiet);font-size:14px}
h1{margin:2px 0 12px;font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.01em}
h2{display:inline;margin:0;font-size:18px;line-height:1.35;font-weight:600}
a{color:var(--link)}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
abbr{text-decoration:none}
dl{margin:0 0 16px}
dl>div{display:flex;gap:12px;padding:2px 0}
dt{flex:0 0 104px;color:var(--quiet)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd code{user-select:all}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
`

const TABLES = `
table{width:100%;border-collapse:collapse;margin:0 0 16px;font-size:14px}
caption{text-align:left;font-weight:600;padding:0 0 4px}
th,td{text-align:left;vertical-align:top;padding:5px 12px 5px 0;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:500;color:var(--quiet);font-size:13px}
.number{text-align:right;white-space:nowrap}
.scroll{overflow-x:auto}
.scroll code{white-space:nowrap}
td.bad{color:var(--bad);font-weight:600}
.summary{margin:16px 0 32px}
.summary caption{font-size:16px}
.invariants .verdict{white-space:nowrap;text-align:right}
.invariants th[scope=row]{font-weight:600}
tr.bad .verdict,tr.bad th{color:var(--bad)}
tr.bad td:first-of-type{color:inherit}
tr.good .verdict{color:var(--good)}
tr.open .verdict{color:var(--open)}
.gaps tr.bad .number{color:var(--bad);font-weight:600}
td ul{margin:4px 0 0;padding-left:18px;overflow-wrap:anywhere}
.gauge-column{width:28%}
.gauge{display:block;position:relative;height:8px;margin-top:7px;background:var(--raised);border-radius:2px;min-width:60px}
.gauge i{display:block;height:8px;background:var(--confirm);border-radius:2px}
tr.bad .gauge i{background:var(--bad)}
.gauge b{position:absolute;top:-3px;height:14px;width:2px;margin-left:-1px;background:var(--text)}
`

const RUNS = `
.badge{display:inline-block;border:1px solid currentColor;border-radius:4px;padding:0 7px;font-size:13px;line-height:20px;font-weight:600;white-space:nowrap;vertical-align:1px}
.badge.good,.sentence.good{color:var(--good)}
.badge.bad,.sentence.bad{color:var(--bad)}
.badge.open,.sentence.open{color:var(--open)}
.run{border-top:1px solid var(--rule);padding:16px 0}
.run>summary{cursor:pointer;padding:4px 0}
.run>article{padding-top:8px;scroll-margin-top:56px}
details details>summary,article>details>summary{cursor:pointer;color:var(--link);padding:4px 0;font-size:14px}
details details[open]>summary{margin-bottom:4px}
.description{margin:4px 0 8px;max-width:72ch;color:var(--quiet)}
.sentence{margin:4px 0 16px;font-weight:600;overflow-wrap:anywhere}
.error{margin:0 0 16px;padding:10px 14px;border-left:4px solid var(--open);background:var(--raised);overflow-wrap:anywhere;white-space:pre-line}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 40px;margin-top:24px}
.columns>div{min-width:0}
.columns>div:empty{display:none}
article>dl{margin-top:16px;padding-top:12px;border-top:1px solid var(--rule);font-size:14px}
.notes{color:var(--quiet);font-size:14px;padding-left:18px}
`

const CHARTS = `
.timeline{--gutter:76px;margin:0 0 8px;position:relative}
.panel{margin:0 0 10px}
figcaption{font-size:13px;color:var(--quiet);display:flex;flex-wrap:wrap;gap:0 14px;padding:0 0 3px}
figcaption b{color:var(--text);font-weight:600}
.key{white-space:nowrap}
.key i{display:inline-block;width:16px;height:0;margin-right:5px;vertical-align:4px;border-top:2px solid}
.plot{position:relative;margin-left:var(--gutter)}
.plot svg{display:block;width:100%;height:100%;background:var(--raised);overflow:hidden}
.labels span{position:absolute;right:calc(100% + 8px);transform:translateY(-50%);font-size:12px;line-height:1;color:var(--quiet);white-space:nowrap;max-width:var(--gutter);overflow:hidden;text-overflow:ellipsis}
.time-axis,.fault-band{position:relative;margin-left:var(--gutter)}
.time-axis{height:18px}
.time-axis span{position:absolute;transform:translateX(-50%);font-size:12px;color:var(--quiet);white-space:nowrap}
.fault-band{height:20px}
.fault-band span{position:absolute;top:0;height:20px;border-bottom:3px solid var(--fault);font-size:12px;line-height:16px;color:var(--fault);white-space:nowrap}
svg path{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round;stroke-linecap:round}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .fault{fill:var(--fault);fill-opacity:.1}
.line-sent{stroke:var(--sent);border-color:var(--sent)!important}
svg .line-sent{stroke-width:1.5;stroke-dasharray:3 3}
.key .line-sent{border-top-style:dashed}
.line-confirm,.line-a{stroke:var(--confirm);border-color:var(--confirm)!important}
.line-handle,.line-b{stroke:var(--handle);border-color:var(--handle)!important}
.line-c{stroke:var(--lineC);border-color:var(--lineC)!important}
.line-d{stroke:var(--lineD);border-color:var(--lineD)!important}
.line-e{stroke:var(--sent);border-color:var(--sent)!important}
svg .line-confirm,svg .line-handle,svg .line-a,svg .line-b,svg .line-c,svg .line-d,svg .line-e{stroke-width:1.75}
svg .area-confirm{fill:var(--confirm);fill-opacity:.2}
svg .area-handle{fill:var(--handle);fill-opacity:.18}
.key .area-key,.key .bar-confirm,.key .bar-handle,.key .bar-bound,.key [class^=state]{height:10px;width:14px;border:0;vertical-align:-1px}
.key .area-key{background:linear-gradient(var(--raised),var(--idle));border-bottom:2px solid var(--idle)}
.bar-confirm{fill:var(--confirm);background:var(--confirm);fill-opacity:.55}
.bar-handle{fill:var(--handle);background:var(--handle);fill-opacity:.55}
svg .bar-bound{fill:none;stroke:var(--text);stroke-width:1;vector-effect:non-scaling-stroke;stroke-dasharray:4 2}
.key .bar-bound{border:1px dashed var(--text)}
.state-ready{fill:var(--ready);background:var(--ready)}
.state-connecting{fill:var(--connecting);background:var(--connecting)}
.state-partly{fill:var(--partly);background:var(--partly)}
.state-blocked{fill:var(--blocked);background:var(--blocked)}
.state-unauthorised{fill:var(--refused);background:var(--refused)}
.state-paused,.state-draining,.state-closed{fill:var(--idle);background:var(--idle)}
`

const NARROW = `
@media (max-width:760px){
header,main{padding-left:14px;padding-right:14px}
header{padding-top:20px}
h1{font-size:24px}
.wide,.time-axis span:nth-child(even){display:none}
.timeline{--gutter:56px}
.labels span{font-size:11px}
dl>div{display:block}
.gauge-column{display:none}
.summary thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.summary,.summary tbody,.summary tr,.summary td{display:block}
.summary caption{display:block}
.summary tr{display:flex;flex-wrap:wrap;gap:2px 14px;padding:8px 0;border-bottom:1px solid var(--rule)}
.summary td{border:0;padding:0}
.summary .title{flex:0 0 100%}
.summary .wide{display:none}
.summary .number::before{content:attr(data-label) " ";color:var(--quiet);font-weight:400}
}
`

const PAPER = `
@media print{
:root{${variables(0)};color-scheme:light}
body{font-size:10pt}
header,main{max-width:none;padding:0}
.run{break-before:page;border-top:0}
.panel,tr,figure,.columns>div{break-inside:avoid}
summary{list-style:none}
svg,.key i,.gauge,.gauge i,.gauge b,.badge{-webkit-print-color-adjust:exact;print-color-adjust:exact}
a{color:inherit;text-decoration:none}
}
`

export const STYLE: string = `:root{color-scheme:light dark;${variables(0)}}
@media (prefers-color-scheme:dark){:root{${variables(1)}}}
${PAGE}${TABLES}${RUNS}${CHARTS}${NARROW}${PAPER}`
