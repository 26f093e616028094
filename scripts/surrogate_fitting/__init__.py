"""How ``scripts/fit_surrogates.py`` fits and judges the surrogate models that the package ships.

* ``figures``: what is fitted to, read and given a shape;
* ``diagnostics``: folds, and what an error is;
* ``noise``: the spread of a trial around its expected accuracy;
* ``perceptron``, ``topology``: 12-epoch accuracy in the topology space;
* ``size``: 90-epoch accuracy in the size space;
* ``costs``: seconds and latency;
* ``protocol``: whether searches on the surrogate end where searches on real figures end;
* ``writing``: the files that come out.
"""
