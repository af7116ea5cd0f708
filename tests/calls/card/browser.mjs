// Chromium with the stand-in host, driven by JSON lines. node browser.mjs FOLDER CHROMIUM; FOLDER holds node_modules.
//   in:  {"id", "do", ...}          out: {"id", "result"} or {"id", "error"}
//   out: {"ask", "name", "given"}   in:  {"answer", "value"}      a tool that the card calls
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder, executablePath] = process.argv.slice(2)
const modules = join(folder, 'node_modules')
const load = (path) => import(pathToFileURL(join(modules, path)))
const { build } = await load('esbuild/lib/main.js')
const { chromium } = await load('playwright-core/index.mjs')

const PATIENCE = 120_000 // ms; against a hang only
const HOST = 'http://host.example.com/'
const CARD = 'http://card.example.com/'
// What the extension demands of a host for a page that names no domains.
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; media-src 'self' data:; connect-src 'none'"

const axe = await readFile(join(modules, 'axe-core/axe.min.js'), 'utf-8')
const source = await readFile(new URL('stand_in.js', import.meta.url), 'utf-8')
const bundled = await build({ stdin: { contents: source, resolveDir: folder }, bundle: true, format: 'iife', write: false })
const host = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Stand-in host</title><style>body{margin:0}' +
  'iframe{border:0;width:100%;height:200px}</style><iframe title="Card" sandbox="allow-scripts"></iframe>'

const browser = await chromium.launch({ executablePath, timeout: PATIENCE, args: ['--no-sandbox', '--force-color-profile=srgb'] })
let page, frame, seen, asked = 0
const open = new Map()
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n')

const deeds = {
  async open({ html, options = {}, ...shown }) {
    await page?.context().close()
    const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options })
    page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    seen = { requests: [], errors: [], told: [], opened: [] }
    page.on('pageerror', (error) => seen.errors.push(String(error)))
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && seen.errors.push(message.text()))
    page.on('dialog', (dialog) => { seen.errors.push(`dialog: ${dialog.message()}`); return dialog.dismiss() })
    await context.route('**', (route) => {
      const url = route.request().url()
      const headers = { 'content-type': 'text/html; charset=utf-8' }
      if (url === HOST) return route.fulfill({ body: host, headers })
      if (url === CARD) return route.fulfill({ body: html, headers: { ...headers, 'content-security-policy': POLICY } })
      seen.requests.push(url)
      return route.abort()
    })
    await page.exposeFunction('calling', async (name, given) => {
      const ask = ++asked
      const answered = new Promise((resolve) => open.set(ask, resolve))
      say({ ask, name, given })
      return answered
    })
    await page.exposeFunction('telling', (params) => { seen.told.push(params) })
    await page.exposeFunction('opening', (url) => { seen.opened.push(url) })
    await page.goto(HOST)
    await page.addScriptTag({ content: bundled.outputFiles[0].text })
    await page.evaluate((all) => window.show(all), { page: CARD, ...shown })
    frame = page.frames().find((one) => one.url() === CARD)
  },
  run: ({ script, arg }) => frame.evaluate(`(${script})(${JSON.stringify(arg ?? null)})`),
  async until({ script }) {
    const late = Date.now() + PATIENCE
    while (!await frame.evaluate(script)) {
      if (Date.now() > late) {
        throw new Error(`not true in time: ${script}; the card says: ${await frame.evaluate('document.body.innerText')}`)
      }
      await frame.evaluate('new Promise(requestAnimationFrame)')
    }
  },
  async axe() {
    await frame.evaluate(axe)
    const found = await frame.evaluate('axe.run(document, { resultTypes: ["violations"] })')
    return found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 120))])
  },
  resize: (size) => page.setViewportSize(size),
  host: ({ script, arg }) => page.evaluate(`(${script})(${JSON.stringify(arg ?? null)})`),
  click: ({ selector }) => frame.click(selector, { timeout: PATIENCE }),
  doubleClick: ({ selector }) => frame.dblclick(selector, { timeout: PATIENCE }),
  press: ({ key }) => page.keyboard.press(key),
  async hold({ key, times }) {
    for (let n = 0; n < times; n++) await page.keyboard.down(key)
    await page.keyboard.up(key)
  },
  tree: () => frame.locator('body').ariaSnapshot(),
  text: () => frame.locator('#card').innerText(),
  async shot({ path }) {
    for (const one of [frame, page, frame]) await one.evaluate('new Promise(requestAnimationFrame)')
    await page.locator('iframe').screenshot({ path, animations: 'disabled' })
  },
  seen: async () => seen,
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: deed, answer, value, ...given } = JSON.parse(line)
  if (answer !== undefined) {
    open.get(answer)?.(value)
    open.delete(answer)
    continue
  }
  deeds[deed](given).then((done) => say({ id, result: done ?? null }), (error) => say({ id, error: String(error) }))
}
await browser.close()
