#include "residua/connections/ode_tableau.h"

namespace residua {

const Tableau& euler_tableau() {
  static const Tableau t{.name = "euler", .order = 1, .c = {0}, .a = {{}}, .b = {1}};
  return t;
}

const Tableau& midpoint_tableau() {
  static const Tableau t{
      .name = "midpoint", .order = 2, .c = {0, 0.5}, .a = {{}, {0.5}}, .b = {0, 1}};
  return t;
}

const Tableau& rk4_tableau() {
  static const Tableau t{.name = "rk4",
                         .order = 4,
                         .c = {0, 0.5, 0.5, 1},
                         .a = {{}, {0.5}, {0, 0.5}, {0, 0, 1}},
                         .b = {1. / 6, 1. / 3, 1. / 3, 1. / 6}};
  return t;
}

const Tableau& rk4_38_tableau() {
  static const Tableau t{.name = "rk4_38",
                         .order = 4,
                         .c = {0, 1. / 3, 2. / 3, 1},
                         .a = {{}, {1. / 3}, {-1. / 3, 1}, {1, -1, 1}},
                         .b = {1. / 8, 3. / 8, 3. / 8, 1. / 8}};
  return t;
}

const Tableau& dopri5_tableau() {
  static const std::vector<double> fifth = {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784,
                                            11. / 84,  0};
  static const Tableau t{
      .name = "dopri5",
      .order = 5,
      .c = {0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1},
      .a = {{},
            {1. / 5},
            {3. / 40, 9. / 40},
            {44. / 45, -56. / 15, 32. / 9},
            {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
            {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
            {fifth.begin(), fifth.end() - 1}},
      .b = fifth,
      .error = {71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40},
      .error_order = 4,
      .middle = {6025192743. / 30085553152 / 2, 0, 51252292925. / 65400821598 / 2,
                 -2691868925. / 45128329728 / 2, 187940372067. / 1594534317056 / 2,
                 -1776094331. / 19743644256 / 2, 11237099. / 235043384 / 2},
      .first_same_as_last = true};
  return t;
}

const Tableau& bosh3_tableau() {
  static const Tableau t{.name = "bosh3",
                         .order = 3,
                         .c = {0, 0.5, 0.75, 1},
                         .a = {{}, {0.5}, {0, 0.75}, {2. / 9, 1. / 3, 4. / 9}},
                         .b = {2. / 9, 1. / 3, 4. / 9, 0},
                         .error = {2. / 9 - 7. / 24, 1. / 3 - 1. / 4, 4. / 9 - 1. / 3, -1. / 8},
                         .error_order = 2,
                         .middle = {},
                         .first_same_as_last = true};
  return t;
}

const Tableau& adaptive_heun_tableau() {
  static const Tableau t{.name = "adaptive_heun",
                         .order = 2,
                         .c = {0, 1},
                         .a = {{}, {1}},
                         .b = {0.5, 0.5},
                         .error = {-0.5, 0.5},
                         .error_order = 1};
  return t;
}

const std::vector<double>& adams_bashforth_weights(int order) {
  static const std::vector<std::vector<double>> weights = {
      {1},
      {3. / 2, -1. / 2},
      {23. / 12, -16. / 12, 5. / 12},
      {55. / 24, -59. / 24, 37. / 24, -9. / 24},
      {1901. / 720, -2774. / 720, 2616. / 720, -1274. / 720, 251. / 720}};
  return weights.at(static_cast<size_t>(order - 1));
}

const std::vector<double>& adams_moulton_weights(int order) {
  static const std::vector<std::vector<double>> weights = {
      {1},
      {1. / 2, 1. / 2},
      {5. / 12, 8. / 12, -1. / 12},
      {9. / 24, 19. / 24, -5. / 24, 1. / 24},
      {251. / 720, 646. / 720, -264. / 720, 106. / 720, -19. / 720}};
  return weights.at(static_cast<size_t>(order - 1));
}

}  // namespace residua
