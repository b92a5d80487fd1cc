// The Edge page in a real browser: by keyboard, by what a screen reader is told, in dark and light, and with nothing loaded
// or run that the page's own policy forbids. `SCREENSHOT_FOLDER` keeps what it looks like.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { systemClock } from '../../src/cluster/clock.ts';
import type { EdgeKeys } from '../../src/edge/edge.ts';
import { parseEdgeKey } from '../../src/edge/edge-key.ts';
import { openKeyStore } from '../../src/edge/key-store.ts';
import { silentLogger } from '../../src/log.ts';
import { createSetupPage } from '../../src/ui/ui.ts';
import { edgeVectors } from '../support/edge-vectors.ts';
import { eventually } from '../support/eventually.ts';

const signal = new AbortController().signal;
const [sha256Key, md5Key] = edgeVectors.edgeKey.valid.map(({ encoded }) => encoded);

interface Opened extends AsyncDisposable {
  readonly url: string;
  readonly keys: EdgeKeys;
  readonly keyFile: string;
  readonly isOpen: () => boolean;
}

async function openPage(): Promise<Opened> {
  const dataPath = await mkdtemp(join(tmpdir(), 'edge-page-'));
  const keys = await openKeyStore(silentLogger, { dataPath, given: undefined });
  const setup = createSetupPage(
    { keys, parseKey: parseEdgeKey, nodeName: () => 'warehouse-3', clock: systemClock, log: silentLogger },
    { host: '127.0.0.1', port: 0 },
  );
  await setup.start(signal);
  return {
    url: `http://127.0.0.1:${setup.address()?.port}/`,
    keys,
    keyFile: join(dataPath, 'agent_edge_key'),
    isOpen: setup.isOpen,
    async [Symbol.asyncDispose]() {
      await setup.stop(signal);
      await rm(dataPath, { recursive: true, force: true });
    },
  };
}

interface Visit extends AsyncDisposable {
  readonly page: Page;
  /** Errors and refusals of the policy that the browser reported. */
  readonly complaints: readonly string[];
  /** Every address that was asked for. */
  readonly requested: readonly string[];
}

async function visit(browser: Browser, url: string, scheme: 'dark' | 'light', width = 900): Promise<Visit> {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requested: string[] = [];
  page.on('console', (message) => {
    // The browser says so of each answer of 400 and above; those are looked at by the tests themselves.
    if (!message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => requested.push(request.url()));
  await page.goto(url);
  return { page, complaints, requested, [Symbol.asyncDispose]: () => context.close() };
}

async function keep(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOT_FOLDER;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** The smallest contrast of any text on the page with what is behind it (WCAG 2.2, 1.4.3). */
function smallestContrast(page: Page): Promise<number> {
  // As text, because it runs in the browser, whose types are not ours.
  return page.evaluate<number>(`(() => {
    const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) =>
      0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const behind = (element) => {
      if (element === null) return [255, 255, 255];
      const color = parse(getComputedStyle(element).backgroundColor);
      return color[3] === 0 ? behind(element.parentElement) : color;
    };
    const texts = [...document.querySelectorAll('body *')].filter((element) =>
      [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''));
    return Math.min(...texts.map((element) => {
      const front = luminance(parse(getComputedStyle(element).color));
      const back = luminance(behind(element));
      return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    }));
  })()`);
}

/** As a screen reader is told: the name and the description of what has the focus. */
function focused(page: Page): Promise<{ readonly name: string; readonly description: string }> {
  return page.evaluate(`(() => {
    const element = document.activeElement;
    const described = (element.getAttribute('aria-describedby') ?? '').split(' ');
    const label = element.labels?.[0] ?? element;
    return {
      name: label.textContent.trim(),
      description: described.map((id) => document.getElementById(id)?.textContent ?? '').join(' '),
    };
  })()`);
}

/** The browser gives a new page its focus a moment after it shows it. */
function focuses(page: Page, name: string): Promise<void> {
  return eventually(async () => equal((await focused(page)).name, name));
}

/** How far the page is wider than the window. */
function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

describe('Edge page in a browser', function () {
  this.timeout(60_000);
  let browser: Browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  after(() => browser.close());

  for (const scheme of ['light', 'dark'] as const) {
    it(`takes a key by keyboard alone, shows it before it is saved, and closes (${scheme})`, async () => {
      await using opened = await openPage();
      await using tour = await visit(browser, opened.url, scheme);
      const { page } = tour;
      equal(await page.title(), 'Connect this agent to Portainer · Flotilla');
      await focuses(page, 'Edge key');
      ok((await smallestContrast(page)) >= 4.5, 'contrast of the form');
      await keep(page, `form-${scheme}`);

      await page.keyboard.insertText(sha256Key ?? '');
      await page.keyboard.press('Tab');
      await focuses(page, 'See what it says');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Is this your Portainer?' }).waitFor();
      const said = await page.getByRole('main').ariaSnapshot();
      for (const part of [
        'portainer.example.com:9443',
        'portainer.example.com:8000',
        'number 7',
        'warehouse-3',
      ])
        ok(said.includes(part), `${part} in ${said}`);
      equal(opened.keys.current(), undefined, 'nothing is saved yet');
      ok((await smallestContrast(page)) >= 4.5, 'contrast of the review');
      await keep(page, `review-${scheme}`);

      // Not on the button: a second Enter by mistake must not save.
      await focuses(page, 'Is this your Portainer?');
      await page.keyboard.press('Tab');
      await focuses(page, 'Yes, connect to it');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'The key is saved' }).waitFor();
      match(
        (await page.getByRole('status').textContent()) ?? '',
        /belongs to https:\/\/portainer\.example\.com:9443 now/,
      );
      match((await page.getByRole('main').textContent()) ?? '', /What happens next/);
      ok((await smallestContrast(page)) >= 4.5, 'contrast of the end');
      await keep(page, `done-${scheme}`);
      equal(await readFile(opened.keyFile, 'utf8'), sha256Key);
      await eventually(() => !opened.isOpen());

      deepEqual(tour.complaints, []);
      const foreign = tour.requested.filter((url) => !url.startsWith(opened.url));
      deepEqual(foreign, [], 'everything comes from the agent itself');
    });
  }

  it('says what is wrong with a key where it was given, keeps it there, and lets it be put right', async () => {
    await using opened = await openPage();
    await using tour = await visit(browser, opened.url, 'light');
    const { page } = tour;
    const field = page.getByRole('textbox', { name: 'Edge key' });
    await field.fill('bm90LWEta2V5');
    await page.getByRole('button', { name: 'See what it says' }).click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    equal(
      await alert.textContent(),
      'Not saved. This is not a usable Edge key: it should hold 4 fields, and holds 1.',
    );
    equal(await page.title(), 'Not saved: connect this agent to Portainer · Flotilla');
    equal(await field.inputValue(), 'bm90LWEta2V5');
    equal(await field.getAttribute('aria-invalid'), 'true');
    await eventually(async () =>
      match((await focused(page)).description, /it should hold 4 fields, and holds 1/),
    );
    ok((await smallestContrast(page)) >= 4.5, 'contrast of the error');
    await keep(page, 'error-light');
    equal(opened.keys.current(), undefined);

    await field.fill(md5Key ?? '');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    // This Portainer is polled without TLS, which is said before anything is saved.
    await page.getByText('No TLS.').waitFor();
    await keep(page, 'review-http-light');
    await page.getByRole('link', { name: 'No, use another key' }).click();
    await page.getByRole('heading', { name: 'Connect this agent to Portainer' }).waitFor();
    equal(opened.keys.current(), undefined);
    deepEqual(tour.complaints, []);
  });

  it('fits a narrow window, and text twice as large', async () => {
    await using opened = await openPage();
    await using tour = await visit(browser, opened.url, 'dark', 320);
    const { page } = tour;
    await page.getByRole('textbox').fill(sha256Key ?? '');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Is this your Portainer?' }).waitFor();
    equal(await overflow(page), 0);
    await keep(page, 'review-narrow-dark');
    await page.evaluate("document.documentElement.style.setProperty('font-size', '200%')");
    equal(await overflow(page), 0);
  });

  it('cannot be used by the page of another site', async () => {
    await using opened = await openPage();
    await using foreign = await visit(browser, 'about:blank', 'light');
    await foreign.page.setContent(
      `<form method="post" action="${opened.url}init"><input name="key" value="${sha256Key}"><button>win a prize</button></form>`,
    );
    await foreign.page.getByRole('button').click();
    await foreign.page.getByText('came from another site').waitFor();
    equal(opened.keys.current(), undefined);
  });

  it('tells who came by a name that is not its own what to open, and shows no form there', async () => {
    await using opened = await openPage();
    // The browser takes every name below localhost to loopback, as a name that somebody else owns could lead there.
    const url = opened.url.replace('127.0.0.1', 'rebind.localhost');
    await using tour = await visit(browser, url, 'light');
    await tour.page.getByRole('heading', { name: 'Open this page by IP address' }).waitFor();
    equal(await tour.page.getByRole('textbox').count(), 0);
    ok((await smallestContrast(tour.page)) >= 4.5, 'contrast of the advice');
    await keep(tour.page, 'misdirected-light');
    deepEqual(tour.complaints, []);
  });

  it('cannot be framed, and runs no script', async () => {
    await using opened = await openPage();
    const { headers } = await fetch(opened.url);
    const policy = headers.get('content-security-policy') ?? '';
    match(
      policy,
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    equal(headers.get('x-frame-options'), 'DENY');
    equal(headers.get('cache-control'), 'no-store');
    await using tour = await visit(browser, opened.url, 'light');
    // A hostile key's words come back on the page; this one is a key in every other respect.
    const hostile = Buffer.from('https://p|t:1|<script>alert(1)</script>|1').toString('base64');
    await tour.page.getByRole('textbox').fill(hostile);
    await tour.page.keyboard.press('Tab');
    await tour.page.keyboard.press('Enter');
    await tour.page.getByRole('alert').waitFor();
    equal(await tour.page.locator('script').count(), 0);
  });
});
