'use strict';
// Outputs side by side. Everything a model or a dataset wrote is put in as text, never as markup.
const Samples = (() => {
  const {element, number} = Charts;
  const kinds = [
    ['all', 'In row order'], ['improved', 'Mended by training'], ['worse', 'Made undesirable by training'],
    ['still_undesirable', 'Undesirable in both'], ['still_acceptable', 'Acceptable in both']
  ];
  const step = 4;  // shown at a time

  // Residues by chemistry: a column of one colour is a column of like residues.
  const groups = [['AVILMC', '#bcd6f2'], ['FWYH', '#a9dcd4'], ['KR', '#f3b9ae'], ['DE', '#dcbdea'], ['STNQ', '#c6e3b0'], ['G', '#f6d5a4'], ['P', '#ece79a']];
  const nucleotides = [['A', '#c6e3b0'], ['C', '#bcd6f2'], ['G', '#f6d5a4'], ['TU', '#f3b9ae']];
  function palette(rows) {
    const colours = {};
    for (const [letters, colour] of rows.every(row => /^[ACGTUN-]*$/i.test(row)) ? nucleotides : groups)
      for (const letter of letters) colours[letter] = colour;
    return colours;
  }

  function alignment(text) {
    const body = element('div', {class: 'body rows', tabindex: '0'});
    const colours = text.valid ? palette(text.rows) : {};
    text.rows.forEach(row => {
      for (const letter of row) {
        const colour = colours[letter.toUpperCase()];
        if (colour) {
          const cell = element('b', {}, letter);
          cell.style.background = colour;
          body.append(cell);
        } else {
          body.append(letter === '-' ? element('span', {class: 'dash'}, letter) : letter);
        }
      }
      body.append('\n');
    });
    if (text.matched) body.append(element('span', {class: 'hit', 'aria-hidden': 'true'}, text.matched.replace(/1/g, '•').replace(/0/g, ' ')));
    return body;
  }

  function content(text, judged) {
    const state = judged ? (text.undesirable ? ' bad' : ' good') : '';
    if (text.rows && text.rows.length) {
      const body = alignment(text);
      body.className += state;
      return body;
    }
    const body = element('div', {class: 'body' + state + (judged && judged.code ? ' code' : '')});
    body.append(text.text === '' ? element('span', {class: 'none'}, 'nothing') : text.text);
    if (text.cut) body.append(element('span', {class: 'none'}, ' … ' + number(text.cut, 0) + ' more bytes'));
    return body;
  }

  function plain(name, text) {
    return element('div', {class: 'text'}, element('div', {class: 'who'}, name), element('div', {class: 'what'}, content(text, null)));
  }

  function output(name, colour, text, code) {
    const dot = element('i', {});
    dot.style.background = 'var(' + colour + ')';
    const verdict = text.undesirable ? element('span', {class: 'mark-bad'}, '✕ undesirable') : element('span', {class: 'mark-good'}, '✓ acceptable');
    const notes = [];
    if (text.undesirable && text.reason) notes.push(text.reason);
    if (!text.complete) notes.push('cut at the token limit and judged as it stands');
    return element('div', {class: 'text'},
      element('div', {class: 'who'}, dot, name, verdict, text.score === undefined ? null : element('span', {class: 'score'}, 'score ' + number(text.score, 2))),
      element('div', {class: 'what'}, content(text, {code}), notes.length ? element('div', {class: 'why'}, notes.join('; ')) : null));
  }

  // Before and after, in short: for the top of the page.
  function story(samples) {
    const count = samples.items.length;
    const lead = samples.changed ? (count === 1 ? 'The one held-out example whose output training changed' : 'The first ' + count + ' of ' + number(samples.changed, 0) + ' held-out examples whose output training changed') +
      ', in their own order, not picked by result.' : 'Training changed no held-out output; these are the first ' + count + '.';
    return element('div', {class: 'before-after'}, element('p', {class: 'about'}, lead), samples.items.map(item => {
      const isAlignment = Boolean(item.source.rows);
      return element('div', {class: isAlignment ? 'duo' : 'trio'},
        isAlignment ? element('p', {class: 'from', title: item.source.text}, 'Source ', element('code', {}, item.source.rows.join(' | '))) : plain('Source', item.source),
        output('Before', '--start', item.base, isAlignment), output('After', '--trained', item.aligned, isAlignment));
    }));
  }

  function sample(item, compared) {
    const isAlignment = Boolean(item.source.rows);
    const above = element('div', {class: isAlignment ? 'rungs' : 'pair'}, plain(isAlignment ? 'Source (unaligned)' : 'Source', item.source),
      item.desired ? plain('Desired', item.desired) : item.undesired ? plain('Undesired', item.undesired) : null);
    const of = key => key === 'base' || key === 'rules' || key === 'aligned' ? item[key] : (item.others || {})[key];
    const models = element('div', {class: isAlignment ? 'rungs' : 'trio'},
      compared.filter(([key]) => of(key)).map(([key, label, colour]) => output(label, colour, of(key), isAlignment)));
    return element('article', {class: 'sample'}, element('h4', {}, 'Held-out row ' + item.row), above, models);
  }

  // A card with the samples of one norm and the choice of which to see.
  // `compared`: [key, label, colour], in the order in which outputs are shown.
  function card(name, samples, compared) {
    const list = element('div', {'aria-live': 'polite'});
    const more = element('button', {type: 'button', class: 'more'}, 'Show more');
    const rest = element('p', {class: 'about'});
    let kind = 'all', shown = step;
    const count = key => key === 'all' ? samples.rows : samples.counts[key];
    const chosen = () => kind === 'all' ? samples.items.filter((_, i) => i < 24) : samples.items.filter(item => item.kind === kind);
    function fill() {
      const items = chosen();
      list.replaceChildren(...items.slice(0, shown).map(item => sample(item, compared)));
      more.hidden = shown >= items.length;
      rest.hidden = !more.hidden || items.length >= count(kind);
      rest.textContent = 'This page holds ' + items.length + ' of these ' + count(kind) + '; all are in evaluation/judged.json of the run.';
    }
    const buttons = kinds.map(([key, label]) => {
      const button = element('button', {type: 'button', 'aria-pressed': String(key === kind)}, label + ' (' + number(count(key), 0) + ')');
      button.disabled = count(key) === 0;
      button.addEventListener('click', () => {
        kind = key;
        shown = step;
        buttons.forEach(b => b.setAttribute('aria-pressed', String(b === button)));
        fill();
      });
      return button;
    });
    more.addEventListener('click', () => { shown += step; fill(); });
    fill();
    const cut = samples.cut;
    const isAlignment = samples.items.some(item => item.source.rows);
    return element('div', {class: 'card'}, element('header', {}, element('h3', {}, name)),
      element('p', {class: 'about'}, 'The rows come in their own order, not picked by result. ' +
        (isAlignment ? 'Dots mark columns that are also in the true alignment; valid alignments are coloured by the chemistry of their residues. ' : '') +
        (cut.base + cut.aligned > 0 ? 'Cut at the token limit: ' + cut.base + ' outputs of the start model, ' + cut.aligned + ' of the trained one.' : '')),
      element('div', {class: 'controls', role: 'group', 'aria-label': 'Which outputs of ' + name}, buttons), list, more, rest);
  }

  return {card, story};
})();
