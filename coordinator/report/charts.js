'use strict';
// Charts on Chart.js: colours from the style sheet, whiskers and value labels, a table with the numbers under each chart.
const Charts = (() => {
  const made = [];
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (colour, share) => colour + Math.round(share * 255).toString(16).padStart(2, '0');
  const series = index => css('--c' + (index % 6 + 1));

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {}))
      if (value !== undefined && value !== null) key === 'class' ? node.className = value : node.setAttribute(key, value);
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);  // strings become text
    return node;
  }

  function number(value, digits) {
    if (value === null || value === undefined || !Number.isFinite(value)) return '–';
    if (digits !== undefined) return value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits}).replace('-', '−');
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.0001 || size >= 1e6)) return value.toExponential(2).replace('-', '−');
    return value.toLocaleString('en', {maximumSignificantDigits: 4}).replace('-', '−');
  }
  const percent = (value, digits = 1) => Number.isFinite(value) ? number(100 * value, digits) + '%' : '–';

  function table(headings, rows) {
    const numeric = headings.map((_, i) => i > 0 && rows.length > 0 && rows.every(r => /^[−+–\d]/.test(String(r[i]))));
    return element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Numbers of the chart'},
      element('table', {},
        element('thead', {}, element('tr', {}, headings.map((h, i) => element('th', {scope: 'col', class: numeric[i] ? 'n' : null}, h)))),
        element('tbody', {}, rows.map(row => element('tr', {}, row.map((cell, i) =>
          i === 0 ? element('th', {scope: 'row'}, String(cell)) : element('td', {class: numeric[i] ? 'n' : null}, String(cell))))))));
  }

  function numbers(headings, rows) {
    const part = element('details', {}, element('summary', {}, 'Numbers'));
    part.addEventListener('toggle', () => {  // the table is made when it is first looked at
      if (part.open && part.children.length === 1) part.append(table(headings, rows));
    });
    return part;
  }

  // A figure: caption, canvas, numbers. `configure` is called again when the colours change.
  function figure({title, note, label, kind, headings, rows, configure}) {
    const canvas = element('canvas', {role: 'img', 'aria-label': label || title});
    const node = element('figure', {},
      element('figcaption', {}, title, note ? element('small', {}, note) : null),
      element('div', {class: 'plot ' + (kind || '')}, canvas));
    if (headings) node.append(numbers(headings, rows));
    made.push({canvas, configure, chart: null});
    return node;
  }

  const whiskers = {
    id: 'whiskers',
    afterDatasetsDraw(chart) {
      const {ctx} = chart;
      chart.data.datasets.forEach((dataset, index) => {
        if (!dataset.intervals || !chart.isDatasetVisible(index)) return;
        const across = chart.options.indexAxis === 'y';
        const scale = across ? chart.scales.x : chart.scales.y;
        ctx.save();
        ctx.strokeStyle = dataset.whiskerColor || css('--ink');
        ctx.lineWidth = 1.4;
        chart.getDatasetMeta(index).data.forEach((mark, i) => {
          const interval = dataset.intervals[i];
          if (!interval) return;
          const [low, high] = interval.map(v => scale.getPixelForValue(v));
          const at = across ? mark.y : mark.x, cap = 4;
          ctx.beginPath();
          for (const [x0, y0, x1, y1] of across
            ? [[low, at, high, at], [low, at - cap, low, at + cap], [high, at - cap, high, at + cap]]
            : [[at, low, at, high], [at - cap, low, at + cap, low], [at - cap, high, at + cap, high]]) {
            ctx.moveTo(x0, y0);
            ctx.lineTo(x1, y1);
          }
          ctx.stroke();
        });
        ctx.restore();
      });
    }
  };

  // The value beside each bar, past its whisker.
  const values = {
    id: 'values',
    afterDatasetsDraw(chart) {
      const dataset = chart.data.datasets[0];
      if (!dataset || !dataset.labels) return;
      const {ctx} = chart;
      ctx.save();
      ctx.font = '600 12px ' + css('--sans');
      ctx.fillStyle = css('--ink');
      ctx.textBaseline = 'middle';
      chart.getDatasetMeta(0).data.forEach((mark, i) => {
        const end = Math.max(dataset.data[i] || 0, dataset.intervals && dataset.intervals[i] ? dataset.intervals[i][1] : 0);
        ctx.fillText(dataset.labels[i], chart.scales.x.getPixelForValue(end) + 8, mark.y);
      });
      ctx.restore();
    }
  };

  // A bar for each model: share or score with its interval.
  function bars({title, note, names, colours, data, intervals, format, most, label}) {
    const node = figure({title, note, label, kind: 'bars', configure: () => ({
      type: 'bar',
      data: {labels: names, datasets: [{data, intervals, labels: data.map(format), backgroundColor: colours.map(css), barPercentage: 0.62, categoryPercentage: 0.9}]},
      plugins: [whiskers, values],
      options: {
        indexAxis: 'y', layout: {padding: {right: 52}},
        plugins: {legend: {display: false}, tooltip: {callbacks: {label: item =>
          format(item.raw) + (intervals[item.dataIndex] ? '  (95%: ' + intervals[item.dataIndex].map(format).join(' to ') + ')' : '')}}},
        scales: {
          x: {min: 0, max: most, grid: {color: css('--line'), drawBorder: false}, ticks: {callback: v => format(v), maxTicksLimit: 5}},
          y: {grid: {display: false, drawBorder: false}, ticks: {color: css('--ink')}}
        }
      }
    })});
    node.querySelector('.plot').style.height = 34 + 46 * names.length + 'px';
    return node;
  }

  // Points of two numbers, each with both intervals and its name beside it where there is room.
  // Each point: {name, colour: variable name, shape, x, y, x_interval, y_interval}.
  const shapes = {circle: 'circle', diamond: 'rectRot', triangle: 'triangle'};
  const crosses = {
    id: 'crosses',
    beforeDatasetsDraw(chart) {
      const {ctx, scales: {x, y}} = chart;
      ctx.save();
      ctx.lineWidth = 1.3;
      for (const dataset of chart.data.datasets) {
        const point = dataset.point;
        ctx.strokeStyle = css(point.colour);
        ctx.beginPath();
        if (point.x_interval) { ctx.moveTo(x.getPixelForValue(point.x_interval[0]), y.getPixelForValue(point.y)); ctx.lineTo(x.getPixelForValue(point.x_interval[1]), y.getPixelForValue(point.y)); }
        if (point.y_interval) { ctx.moveTo(x.getPixelForValue(point.x), y.getPixelForValue(point.y_interval[0])); ctx.lineTo(x.getPixelForValue(point.x), y.getPixelForValue(point.y_interval[1])); }
        ctx.stroke();
      }
      ctx.restore();
    },
    afterDatasetsDraw(chart) {
      const {ctx, chartArea: area} = chart, taken = [];
      const at = chart.data.datasets.map((_, i) => chart.getDatasetMeta(i).data[0]);
      const box = (left, top, width) => ({left, top, right: left + width, bottom: top + 15});
      for (const mark of at) taken.push({left: mark.x - 7, top: mark.y - 7, right: mark.x + 7, bottom: mark.y + 7});
      ctx.save();
      ctx.font = '600 12px ' + css('--sans');
      ctx.fillStyle = css('--ink');
      ctx.textBaseline = 'top';
      [...chart.data.datasets.entries()].reverse().forEach(([i, dataset]) => {  // the trained model's first
        const {x, y} = at[i], width = ctx.measureText(dataset.label).width;
        const places = [box(x + 11, y - 20, width), box(x + 11, y + 5, width), box(x - 11 - width, y - 20, width), box(x - 11 - width, y + 5, width), box(x - width / 2, y - 27, width), box(x - width / 2, y + 12, width)];
        const free = places.find(p => p.left >= area.left && p.right <= area.right && p.top >= area.top && p.bottom <= area.bottom &&
          taken.every(t => p.right < t.left || p.left > t.right || p.bottom < t.top || p.top > t.bottom));
        if (!free) return;  // its colour and shape stand in the table beside the chart
        taken.push(free);
        ctx.fillText(dataset.label, free.left, free.top);
      });
      ctx.restore();
    }
  };
  function pairs({title, note, points, x_title, y_title, label}) {
    const extent = (key, interval) => points.flatMap(p => [p[key], ...(p[interval] || [])]);
    const round = (value, up) => Math.min(1, Math.max(0, (up ? Math.ceil : Math.floor)(value * 10 + (up ? 0.2 : -0.2)) / 10));
    const range = values => ({min: round(Math.min(...values), false), max: round(Math.max(...values), true)});
    const grid = {color: css('--line'), drawBorder: false};
    return figure({title, note, label, kind: 'pairs', configure: () => ({
      type: 'scatter',
      data: {datasets: points.map((point, i) => ({label: point.name, point, order: -i, clip: 12, data: [{x: point.x, y: point.y}], pointStyle: shapes[point.shape], radius: point.shape === 'circle' ? 6 : 7, hoverRadius: 8,
        backgroundColor: css(point.colour), borderColor: css('--card'), borderWidth: 1.2}))},
      plugins: [crosses],
      options: {
        plugins: {legend: {display: false}, tooltip: {callbacks: {label: item => item.dataset.label + ': undesirable ' + percent(item.parsed.x) + ', score ' + number(item.parsed.y, 2)}}},
        scales: {
          x: {...range(extent('x', 'x_interval')), grid, ticks: {callback: v => percent(v, 0), maxTicksLimit: 7}, title: {display: true, text: x_title, color: css('--muted')}},
          y: {...range(extent('y', 'y_interval')), grid, ticks: {callback: v => number(v, 2), maxTicksLimit: 6}, title: {display: true, text: y_title, color: css('--muted')}}
        }
      }
    })});
  }

  // Lines over steps. Each line: {name, points: [[step, value]], colour: index or variable name, dashed, dots}.
  function lines({title, note, lines: all, label, zero, format, logarithmic}) {
    const shown = all.filter(line => line.points && line.points.length);
    const rows = [];
    for (const line of shown) for (const [step, value] of line.points) rows.push([line.name, number(step, 0), number(value)]);
    const colour = line => typeof line.colour === 'string' ? css(line.colour) : series(line.colour || 0);
    const largest = Math.max(...shown.flatMap(line => line.points.map(p => p[1])));
    return figure({title, note, label: label || title + ': ' + shown.map(line => line.name + ' from ' + number(line.points[0][1]) + ' to ' +
      number(line.points[line.points.length - 1][1])).join('; '), headings: ['Series', 'Step', 'Value'], rows, configure: () => ({
      type: 'line',
      data: {datasets: shown.map(line => ({
        label: line.name, data: line.points.map(([x, y]) => ({x, y})), borderColor: colour(line), backgroundColor: colour(line),
        borderWidth: line.dots ? 1.5 : 1.8, borderDash: line.dashed ? [5, 4] : [], pointRadius: line.dots || line.points.length === 1 ? 3 : 0,
        pointHitRadius: 6, tension: 0
      }))},
      options: {
        interaction: {mode: 'nearest', axis: 'x', intersect: false},
        plugins: {legend: {display: shown.length > 1, align: 'start', labels: {boxWidth: 18, boxHeight: 1.5, color: css('--muted')}},
          tooltip: {callbacks: {title: items => 'step ' + number(items[0].parsed.x, 0), label: item => item.dataset.label + ': ' + number(item.parsed.y)}}},
        scales: {
          x: {type: 'linear', min: 0, grid: {display: false, drawBorder: false}, ticks: {maxTicksLimit: 7}, title: {display: true, text: 'step', color: css('--muted')}},
          y: {type: logarithmic ? 'logarithmic' : 'linear', suggestedMin: zero ? 0 : undefined, grid: {color: css('--line'), drawBorder: false},
            ticks: {maxTicksLimit: 6, callback: v => format ? format(v, largest) : number(v)}}
        }
      }
    })});
  }

  function defaults() {
    Chart.defaults.animation = false;
    Chart.defaults.responsive = true;
    Chart.defaults.maintainAspectRatio = false;
    Chart.defaults.devicePixelRatio = Math.max(2, window.devicePixelRatio || 1);
    Chart.defaults.font.family = css('--sans');
    Chart.defaults.font.size = 12;
    Chart.defaults.color = css('--muted');
    Chart.defaults.borderColor = css('--line');
    Object.assign(Chart.defaults.plugins.tooltip, {backgroundColor: css('--ink'), titleColor: css('--paper'), bodyColor: css('--paper'),
      displayColors: false, padding: 9, cornerRadius: 6});
  }

  function draw() {
    defaults();
    for (const one of made) {
      if (one.chart) one.chart.destroy();
      one.chart = new Chart(one.canvas, one.configure());
    }
  }

  // After the choice of colours in one chart changed.
  function redraw(canvas) {
    const one = made.find(m => m.canvas === canvas);
    if (!one) return;
    if (one.chart) one.chart.destroy();
    one.chart = new Chart(one.canvas, one.configure());
  }

  return {bars, pairs, lines, figure, numbers, element, number, percent, css, faded, series, whiskers, draw, redraw,
    resize: () => made.forEach(one => one.chart && one.chart.resize())};
})();
