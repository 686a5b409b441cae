'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const options = {displayModeBar: false, responsive: true};
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const values = data.values, low = Math.min(...values), high = Math.max(...values);
// As among the curves, the best is red; bad runs fade into the paper.
const good = () => [[0, ink('--line')], [0.5, ink('--bar')], [1, ink('--error')]]
  .map(([at, hue], i, all) => [at, data.goal === 'maximize' ? hue : all[all.length - 1 - i][1]]);
const axisOf = axis => axis.ticks === null ? {} :
  {tickmode: 'array', tickvals: axis.ticks, ticktext: axis.texts, range: spread(axis)};
function spread(axis) {
  const there = axis.values.filter(value => value !== null), least = Math.min(...there), most = Math.max(...there);
  const room = (most - least) * 0.08 || 0.5;
  return [least - room, most + room];
}
function layout(more) {
  const line = {gridcolor: ink('--line'), zerolinecolor: ink('--line'), linecolor: ink('--line'), automargin: true};
  const {xaxis = {}, yaxis = {}, ...rest} = more;
  return {paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {color: ink('--ink'), size: 12},
    margin: {l: 56, r: 16, t: 12, b: 44}, showlegend: false, hovermode: 'closest', hoverlabel: {namelength: -1},
    xaxis: {...line, ...xaxis}, yaxis: {...line, ...yaxis}, ...rest};
}
function draw(id, traces, more) {
  const place = document.getElementById(id);
  if (place) Plotly.react(place, traces, layout(more), options);
}
function drawCurves() {
  const chosen = document.getElementById('metric'), metric = chosen ? chosen.value : data.metric;
  const lines = data.curves.runs.filter(run => metric in run.lines).reverse();
  const traces = lines.map((run, i) => ({
    x: run.lines[metric][0], y: run.lines[metric][1], name: run.name, mode: 'lines+markers',
    hovertemplate: `${run.name}<br>epoch %{x}: %{y:.4g}<extra>${run.status}</extra>`, marker: {size: 4},
    opacity: i === lines.length - 1 ? 1 : 0.55,
    line: {color: i === lines.length - 1 ? ink('--error') : ink('--bar'), width: i === lines.length - 1 ? 3 : 1.2,
      dash: run.status === 'finished' ? 'solid' : 'dot'}}));
  const last = Math.max(...lines.map(run => Math.max(...run.lines[metric][0])));
  draw('curves', traces, {xaxis: {title: {text: 'epoch'}, ...(last <= 10 ? {dtick: 1} : {})},
    yaxis: {title: {text: metric}}});
}
function drawParallel() {
  if (!data.axes.length || !values.length) return;
  const dimensions = data.axes.slice(0, 10).map(axis => {
    const there = axis.values.filter(value => value !== null);
    const least = Math.min(...there), most = Math.max(...there), step = (most - least || 1) * 0.15;
    const holes = there.length < axis.values.length;  // a run without this key has a place of its own, below
    const even = Array.from({length: 5}, (_, i) => +(least + i * (most - least) / 4).toPrecision(3));
    const ticks = axis.ticks || [...new Set(even)];
    return {label: axis.name, range: [holes ? least - step : least, most > least ? most : least + 1],
      values: axis.values.map(value => value === null ? least - step : value),
      tickvals: holes ? [least - step, ...ticks] : ticks, ticktext: [...(holes ? ['none'] : []),
        ...(axis.texts || ticks.map(String))]};
  });
  dimensions.push({label: data.metric, values, range: [low, high > low ? high : low + 1e-6]});
  draw('parallel', [{type: 'parcoords', dimensions, labelfont: {size: 12}, tickfont: {size: 11},
    line: {color: values, colorscale: good(), cmin: low, cmax: high > low ? high : low + 1e-6, showscale: false}}],
    {margin: {l: 70, r: 60, t: 50, b: 24}});
}
function drawImportance() {
  if (!data.importance) return;
  const rows = Object.entries(data.importance).reverse();
  draw('importance', [{type: 'bar', orientation: 'h', y: rows.map(row => row[0]), x: rows.map(row => row[1]),
    marker: {color: ink('--bar')}, text: rows.map(row => row[1].toFixed(2)), textposition: 'auto', insidetextfont: {color: ink('--paper')},
    hovertemplate: '%{y}: %{x:.3f}<extra></extra>'}],
    {height: 70 + 30 * rows.length, xaxis: {title: {text: 'share'}, range: [0, 1]}, yaxis: {ticks: ''}});
}
function drawSlices() {
  data.axes.forEach((axis, i) => draw(`slice${i}`, [{mode: 'markers', x: axis.values, y: values,
    text: data.names.map((name, k) => `${name}<br>${axis.shown[k]}`),
    hovertemplate: '%{text}: %{y:.4g}<extra></extra>',
    marker: {size: 9, opacity: 0.75, color: ink('--bar'), line: {color: ink('--bar'), width: 1.5},
      symbol: data.states.map(state => state === 'finished' ? 'circle' : 'circle-open')}}],
    {xaxis: {title: {text: axis.name}, ...axisOf(axis)}, yaxis: {title: {text: data.metric}}}));
}
function drawAll() { drawCurves(); drawParallel(); drawImportance(); drawSlices(); }
drawAll();
const chooser = document.getElementById('metric');
if (chooser) chooser.addEventListener('change', drawCurves);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
for (const head of document.querySelectorAll('#runs th')) head.firstElementChild.addEventListener('click', () => {
  const down = head.getAttribute('aria-sort') === 'ascending', column = head.cellIndex;
  for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const body = document.querySelector('#runs tbody'), key = row => row.cells[column].dataset.v;
  const rows = [...body.rows].sort((first, second) => {
    const a = key(first), b = key(second);
    if (a === '' || b === '') return (a === '') - (b === '');  // what is not there stays last
    const texts = isNaN(a) - isNaN(b);  // numbers come before texts, whatever else is in the column
    const order = texts || (isNaN(a) ? a.localeCompare(b) : a - b || 0);  // Infinity - Infinity is no number
    return down ? -order : order;
  });
  body.append(...rows);
});
