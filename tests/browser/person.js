// What a person sees of a page and can do with it. It runs in a world of its own: the page's scripts do not see it, the page's policy
// does not apply to it, and it works where the page's scripts are off.
globalThis.person = (() => {
  const PRESSED = 'a, button, summary, input[type=submit], input[type=button], input[type=reset], ' +
    '[role=button], [role=link], [role=menuitem], [role=tab]';
  const FIELDS = 'input:not([type=hidden], [type=submit], [type=button], [type=reset]), select, textarea, [contenteditable]';
  // What holds no words of its own: what is not read out, and fields within their labels.
  const WORDLESS = '[aria-hidden=true], input, select, textarea, script, style';

  const tidy = (text) => (text ?? '').replace(/\s+/g, ' ').trim();

  // The words in an element. It is not copied for that: a copy of a picture would be loaded.
  const words = (one) => {
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) =>
      node.nodeType === Node.ELEMENT_NODE && node.matches(WORDLESS) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    const found = [];
    while (walker.nextNode()) found.push(walker.currentNode.alt ?? walker.currentNode.data ?? '');
    return tidy(found.join(''));
  };

  // What it is called, the best name first.
  const names = (one) => {
    const by = (one.getAttribute('aria-labelledby') ?? '').split(/\s+/).map((id) => document.getElementById(id));
    const all = [tidy(by.map((other) => other ? words(other) : '').join(' ')), tidy(one.getAttribute('aria-label'))];
    all.push(...[...(one.labels ?? [])].map(words));
    if (one.matches('input[type=submit], input[type=button], input[type=reset]')) all.push(tidy(one.value));
    if (!one.matches(FIELDS)) all.push(words(one), tidy(one.textContent), tidy(one.innerText));
    const found = all.filter((name) => name);
    return found.length > 0 ? found : [tidy(one.title), tidy(one.placeholder)].filter((name) => name);
  };

  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true });
  const isCalled = (name) => (one) => names(one).includes(name);
  // A field that a page draws by its label is where the label is.
  const faces = (one) => [one, ...(one.labels ?? [])].filter(isSeen);

  // Every colour as [red, green, blue, alpha], each from 0 to 255.
  const channels = (color) => {
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [darker, lighter] = [luminance(one.slice(0, 3)), luminance(other.slice(0, 3))].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  };
  const backdrop = (one) => {
    for (let at = one.parentElement; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return channels('Canvas');
  };

  // Whether it has an outline that is seen against what lies behind it.
  const isOutlined = (one) => {
    const style = getComputedStyle(one);
    if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1) return false;
    // The browser's own ring has two colours, of which one is always seen.
    if (style.outlineStyle === 'auto') return true;
    const color = channels(style.outlineColor);
    return color[3] > 0 && contrast(color, backdrop(one)) >= 3;
  };

  // Smallest side of what is pressed, CSS pixels (WCAG 2.5.8).
  const TARGET = 24;
  const center = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const distance = ([x, y], box) =>
    Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
  // Where a press reaches it: on a box to tick, its label too.
  const reach = (one) => {
    const boxes = (one.matches('[type=checkbox], [type=radio]') ? faces(one) : [one]).map((face) => face.getBoundingClientRect());
    return {
      left: Math.min(...boxes.map((box) => box.left)), right: Math.max(...boxes.map((box) => box.right)),
      top: Math.min(...boxes.map((box) => box.top)), bottom: Math.max(...boxes.map((box) => box.bottom)),
    };
  };
  const isSmall = (box) => box.right - box.left < TARGET || box.bottom - box.top < TARGET;
  // What comes into sight with the focus only.
  const isAside = (box) => box.right <= 0 || box.bottom + scrollY <= 0 || box.right - box.left <= 1 || box.bottom - box.top <= 1;
  // What lies beyond the edge of something that scrolls by itself, where nobody sees it.
  const isScrolledAway = (one, box) => {
    const [x, y] = center(box);
    for (let at = one.parentElement; at && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflow === 'visible') continue;
      const port = at.getBoundingClientRect();
      if (x < port.left || x > port.right || y < port.top || y > port.bottom) return true;
    }
    return false;
  };
  // A link among words is as high as they are.
  const isInText = (one) => {
    if (getComputedStyle(one).display !== 'inline') return false;
    let block = one.parentElement;
    while (getComputedStyle(block).display === 'inline') block = block.parentElement;
    const rest = [...block.querySelectorAll(PRESSED)].reduce((text, link) => text.replace(link.textContent, ''), block.textContent);
    return /\p{L}/u.test(rest);
  };

  const stops = [];

  return {
    named: (kind, name) => [...document.querySelectorAll(kind)].filter(isCalled(name)),
    pressed: (kind, other, name) => [...document.querySelectorAll(kind)]
      .filter((one) => one.textContent.includes(other))
      .flatMap((one) => [...one.querySelectorAll(PRESSED)])
      .filter(isCalled(name)),
    fields: (name) => [...document.querySelectorAll(FIELDS)].filter(isCalled(name)),

    // The one that is seen and enabled, or nothing.
    only: (all) => {
      const seen = [...new Set(all)].filter((one) => faces(one).length > 0);
      const isOff = (one) => one.matches(':disabled') || one.getAttribute('aria-disabled') === 'true';
      return seen.length === 1 && !isOff(seen[0]) ? seen[0] : null;
    },
    // Where the mouse gets at it, once nothing lies over it.
    place: (one) => {
      for (const face of one ? faces(one) : []) {
        face.scrollIntoView({ block: 'center', behavior: 'instant' });
        for (const box of face.getClientRects()) {
          const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
          if (face.contains(document.elementFromPoint(x, y))) return { x, y };
        }
      }
      return null;
    },

    focus: () => {
      const one = document.activeElement;
      return one && one !== document.body && one !== document.documentElement ? names(one)[0] ?? one.localName : null;
    },
    // What is wrong with how the focus is shown, or nothing.
    focusTrouble: () => {
      const one = document.activeElement;
      if (!one || one === document.body) return 'nothing has the focus';
      // A part of a field that the browser draws, such as what opens a calendar, has the browser's own ring.
      if (!one.matches(':focus')) return null;
      const around = [one, ...(one.labels ?? [])];
      if (!around.some(isOutlined)) return 'no outline shows it, or none of a contrast of 3 to 1';
      const isReached = (face) => [...face.getClientRects()].some((box) =>
        [[0.5, 0.5], [0.1, 0.1], [0.9, 0.9]].some(([across, down]) =>
          face.contains(document.elementFromPoint(box.x + box.width * across, box.y + box.height * down))));
      return around.some(isReached) ? null : 'it is out of the window, or lies below something';
    },
    // The next stop of somebody who goes through the page by keyboard; nothing where it begins again.
    stop: () => {
      const one = document.activeElement;
      const name = person.focus();
      // A field of several parts has several stops.
      if (name !== null && stops.at(-1) === one) return { part: true };
      if (name === null || stops.includes(one)) return stops.length = 0, null;
      stops.push(one);
      return { name, trouble: person.focusTrouble() };
    },

    // What would have to be scrolled sideways with the page.
    tooWide: () => {
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return [];
      const sticksOut = (one) => one.getBoundingClientRect().right > clientWidth + 1;
      const found = [...document.querySelectorAll('body *')].filter(sticksOut);
      return found.map((one) => `${one.localName}.${one.getAttribute('class') ?? ''}`).concat(`${scrollWidth} px`);
    },
    // What is smaller than a finger, with something else so near that it is pressed instead.
    smallTargets: () => {
      const all = [...document.querySelectorAll(`${PRESSED}, ${FIELDS}`)].filter((one) => isSeen(one) && !one.matches(':disabled'));
      const targets = all.map((one) => ({ one, box: reach(one) }))
        .filter(({ one, box }) => !isAside(box) && !isScrolledAway(one, box));
      const isNear = (target, other) => other.one !== target.one && !other.one.contains(target.one) && !target.one.contains(other.one) &&
        (distance(center(target.box), other.box) < TARGET / 2 ||
          (isSmall(other.box) && Math.hypot(...center(target.box).map((at, axis) => at - center(other.box)[axis])) < TARGET));
      const found = targets.filter((target) => isSmall(target.box) && !isInText(target.one) && targets.some((other) => isNear(target, other)));
      return found.map(({ one, box }) => `${one.localName} ${JSON.stringify(names(one)[0] ?? '')} is ` +
        `${Math.round(box.right - box.left)} × ${Math.round(box.bottom - box.top)} px, and something else is less than ${TARGET} px away`);
    },
    // What moves is brought to its end, so that it looks the same every time.
    still: () => {
      for (const animation of document.getAnimations()) {
        try { animation.finish(); } catch { animation.cancel(); }
      }
      return document.fonts.ready.then(() => true);
    },
  };
})();
