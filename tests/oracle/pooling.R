# What R says about pooling one table (columns study, n, events).
# Usage: Rscript pooling.R sites.csv answer.json
suppressPackageStartupMessages({
  library(metafor)
  library(jsonlite)
})
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1])
glmm <- rma.glmm(measure = "PLO", xi = events, ni = n, data = d, nAGQ = 7)
es <- escalc(measure = "PLO", xi = events, ni = n, data = d)
tight <- list(threshold = 1e-12, maxiter = 10000)
reml <- rma(yi, vi, data = es, method = "REML", test = "knha", control = tight)
dl <- rma(yi, vi, data = es, method = "DL")
predicted <- predict(reml)
bias <- regtest(reml$yi, reml$vi, model = "lm", predictor = "sei")
answer <- list(
  glmm = list(mean = unname(c(glmm$b)), se = glmm$se, tau2 = glmm$tau2, i2 = glmm$I2),
  reml = list(mean = unname(c(reml$b)), se = reml$se, tau2 = reml$tau2, i2 = reml$I2,
              lower = reml$ci.lb, upper = reml$ci.ub, q = reml$QE,
              prediction = c(predicted$pi.lb, predicted$pi.ub)),
  dl = dl$tau2,
  egger = bias$pval)
write(toJSON(answer, digits = I(17), auto_unbox = TRUE, na = "null"), arguments[2])
