// What asv's pages lack here: reading their data from disk, where a browser lets no script read a file, and a
// logarithmic axis of sizes.
"use strict";
(function () {
  const files = {};
  jQuery.ajaxTransport("+*", function (options) {
    const name = decodeURIComponent(options.url.split("?")[0]);
    if (!Object.hasOwn(files, name)) return undefined;
    return {
      // Later, as an answer over HTTP would be: asv asks before all of its page is set up.
      send: (headers, complete) => setTimeout(() => complete(200, "OK", { text: files[name] })),
      abort: () => {},
    };
  });

  const plot = jQuery.plot;
  function plotSizes(place, graphs, options) {
    const sizes = /[?&]x-axis=(n|rows|threads)(&|$)/.test(location.hash);
    const xs = graphs.flatMap((graph) => graph.data.map((point) => point[0])).filter((x) => x > 0);
    if (sizes && xs.length && options.xaxis && options.xaxis.mode !== "time" && Math.max(...xs) > 50 * Math.min(...xs)) {
      options.xaxis.transform = (x) => Math.log(Math.max(x, 0.5));
      options.xaxis.inverseTransform = Math.exp;
      options.xaxis.ticks = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    }
    return plot(place, graphs, options);
  }
  jQuery.plot = Object.assign(plotSizes, plot);
})();
